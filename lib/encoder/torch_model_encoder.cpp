#include <torch/torch.h>

#include <algorithm>

#include "audio/waveform.h"
#include "base/signals.h"
#include "base/threads.h"
#include "encoder/model_encoder.h"
#include "model/checkpoint.h"
#include "model/layers.h"
#include "nn/hubert.h"
#include "nn/torch_device.h"

namespace retort {
namespace {

// Seconds of audio in one call. A CPU needs enough utterances to keep its threads busy to the end, a GPU
// enough to fill it.
constexpr double cpu_batch_seconds_per_thread = 40;
constexpr double largest_batch_seconds = 320;

Matrix to_matrix(const at::Tensor& frames) {
  const at::Tensor values = frames.to(at::kCPU, at::kFloat).contiguous();
  Matrix matrix(values.size(0), values.size(1));
  std::copy_n(values.const_data_ptr<float>(), values.numel(), matrix.data());
  return matrix;
}

// A share of a window that is computed for its neighbours' sake at each end, and left out.
constexpr double context_share = 0.125;

// Windows that cover `frames` frames: what is computed, and what of it is kept.
struct Window {
  int64_t begin, end;
  int64_t keep_begin, keep_end;
};

// Windows begin and end on multiples of `grid` frames, as do the parts that are kept.
std::vector<Window> make_windows(int64_t frames, int64_t length, int64_t grid) {
  const auto on_grid = [grid](int64_t frame) { return std::max(frame / grid, int64_t{1}) * grid; };
  const int64_t context = on_grid(static_cast<int64_t>(static_cast<double>(length) * context_share));
  const int64_t stride = on_grid(length - 2 * context);
  std::vector<Window> windows;
  for (int64_t begin = 0; begin < frames; begin += stride) {
    const int64_t end = std::min(frames, begin + stride);
    windows.push_back({std::max(int64_t{0}, begin - context), std::min(frames, end + context), begin, end});
  }
  return windows;
}

class ModelEncoder : public FrameEncoder {
 public:
  explicit ModelEncoder(const EncoderOptions& options)
      : device_(parse_device(options.device)),
        compat_(options.batching == "compat"),
        batch_utterances_(options.batch),
        window_(options.window) {
    if (device_.is_cuda()) at::globalContext().setAllowTF32CuDNN(false);  // f32 means f32
    threads_ = options.threads > 0 ? options.threads : available_threads();
    at::set_num_threads(threads_);
    const ModelWeights weights = read_model(options.model);
    config_ = weights.config;
    hash_ = weights.hash();
    settle_wave_norm(options);
    layers_ = parse_layers(options.layers.empty() ? "final" : options.layers, config_);
    for (const Layer& layer : layers_)
      outputs_.push_back({layer.name(), layer_dim(layer, config_), layer_hop(layer, config_)});
    network_ = HubertModel(weights);
    network_->to(device_);
    network_->eval();
    forward({std::vector<float>(
        static_cast<size_t>(config_.receptive_field()))});  // makes what it keeps, before threads do
  }

  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(std::size_t output, int64_t samples) const override {
    return layer_frames(layers_[output], config_, samples);
  }
  BatchRule batches() const override {
    const double seconds = device_.is_cuda()
                               ? largest_batch_seconds
                               : std::min(largest_batch_seconds, threads_ * cpu_batch_seconds_per_thread);
    return {seconds, batch_utterances_};
  }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    if (compat_) return forward(waveforms);
    const auto too_long = [this](const std::vector<float>& waveform) { return is_long(waveform); };
    if (std::any_of(waveforms.begin(), waveforms.end(), too_long)) {
      std::vector<std::vector<Matrix>> encoded;
      for (const std::vector<float>& waveform : waveforms)
        encoded.push_back(is_long(waveform) ? encode_windows(waveform) : forward({waveform}).front());
      return encoded;
    }
    const bool one_each = device_.is_cpu() && waveforms.size() >= static_cast<size_t>(threads_);
    return one_each ? encode_each(waveforms) : forward(waveforms);
  }

  FrameOrigin origin(std::size_t output) const override {
    FrameOrigin origin;
    origin.model = hash_;
    origin.layer = outputs_[output].layer;
    origin.wave_norm = stamped_wave_norm_;
    origin.batching = stamped_batching();
    origin.hop = outputs_[output].hop;
    return origin;
  }

 private:
  // Normalisation belongs to the model: another one is taken only where it is forced, and then said in what
  // is written.
  void settle_wave_norm(const EncoderOptions& options) {
    stamped_wave_norm_ = config_.wave_norm;
    if (options.wave_norm.empty() || options.wave_norm == config_.wave_norm) return;
    if (!options.force)
      fail_usage("--wave-norm {}: {} was trained with {}; --force overrides it", options.wave_norm,
                 options.model, config_.wave_norm);
    config_.wave_norm = options.wave_norm;
    stamped_wave_norm_ = fmt::format("{} (forced)", options.wave_norm);
  }

  std::string stamped_batching() const {
    if (compat_) return fmt::format("compat {}", batch_utterances_);
    return window_ == EncoderOptions().window ? "exact" : fmt::format("exact, windows of {} s", window_);
  }

  bool is_long(const std::vector<float>& waveform) const {
    return window_ > 0 && static_cast<double>(waveform.size()) > window_ * model_rate;
  }

  // Every thread takes whole utterances: no padding, and no operator has threads to wait for.
  std::vector<std::vector<Matrix>> encode_each(const std::vector<std::vector<float>>& waveforms) {
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    const OneThreadPerOperator one_thread;
    parallel_for(waveforms.size(), threads_,
                 [&](std::size_t i) { encoded[i] = std::move(forward({waveforms[i]}).front()); });
    return encoded;
  }

  // One padded batch.
  std::vector<std::vector<Matrix>> forward(const std::vector<std::vector<float>>& waveforms) {
    const c10::InferenceMode inference;
    std::vector<std::vector<float>> normalised;
    std::vector<int64_t> lengths;
    for (const std::vector<float>& waveform : waveforms) {
      normalised.push_back(normalise_waveform(waveform, config_.wave_norm));
      lengths.push_back(static_cast<int64_t>(waveform.size()));
    }
    const at::Tensor padded = pad_waveforms(normalised).to(device_);
    // The Python tools give models with GroupNorm no lengths, so that all are as long as the longest.
    const bool see_padding = compat_ && config_.conv_norm == ConvNorm::group;
    const HubertStates states = network_->forward(
        padded, see_padding ? std::vector<int64_t>(lengths.size(), padded.size(1)) : lengths,
        forward_options());
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    for (const Layer& layer : layers_) {
      const at::Tensor batch = tapped(states, layer).to(at::kCPU);
      for (std::size_t i = 0; i < waveforms.size(); ++i)
        encoded[i].push_back(
            to_matrix(batch[static_cast<int64_t>(i)].narrow(0, 0, layer_frames(layer, config_, lengths[i]))));
    }
    return encoded;
  }

  // One long utterance: norms over time, of waveform and of conv stack, see all of it, attention a window.
  std::vector<Matrix> encode_windows(const std::vector<float>& waveform) {
    const c10::InferenceMode inference;
    const at::Tensor samples =
        pad_waveforms({normalise_waveform(waveform, config_.wave_norm)})[0].to(device_);
    const ConvFrames conv = network_->conv_frames(samples);
    const auto length = static_cast<int64_t>(window_ * model_rate / config_.stride());
    std::vector<Matrix> encoded;
    for (std::size_t i = 0; i < layers_.size(); ++i)
      encoded.emplace_back(frames(i, samples.size(0)), outputs_[i].dim);
    for (const Window& window : make_windows(conv.count(), length, config_.time_reduction)) {
      throw_if_stopped();
      const HubertStates states = network_->forward_frames(
          conv.frames(window.begin, window.end - window.begin).unsqueeze(0), forward_options());
      for (std::size_t i = 0; i < layers_.size(); ++i)
        keep(tapped(states, layers_[i])[0], window, conv.count(), outputs_[i].hop / config_.stride(),
             encoded[i]);
    }
    return encoded;
  }

  // Copies what is kept of a window of `frames` frames of the conv stack, of which `frames_per_row` make one
  // row here. The last window has what remains.
  static void keep(const at::Tensor& rows, const Window& window, int64_t frames, int64_t frames_per_row,
                   Matrix& all) {
    const int64_t first = window.keep_begin / frames_per_row;
    const int64_t end = window.keep_end < frames ? window.keep_end / frames_per_row : all.rows();
    const int64_t count = std::min(end, all.rows()) - first;
    if (count <= 0) return;
    const at::Tensor kept =
        rows.narrow(0, first - window.begin / frames_per_row, count).to(at::kCPU, at::kFloat).contiguous();
    std::copy_n(kept.const_data_ptr<float>(), kept.numel(), all.row(first).data());
  }

  HubertForwardOptions forward_options() const {
    HubertForwardOptions options;
    options.last_block = last_block();
    options.prediction_heads = std::any_of(
        layers_.begin(), layers_.end(), [](const Layer& layer) { return layer.kind == Layer::Kind::head; });
    return options;
  }

  // Blocks that have to run for the deepest layer asked for.
  int last_block() const {
    int deepest = 0;
    for (const Layer& layer : layers_) {
      if (layer.kind == Layer::Kind::final || layer.kind == Layer::Kind::head) return -1;
      if (layer.kind == Layer::Kind::enc) deepest = std::max(deepest, layer.index);
    }
    return deepest;
  }

  at::Tensor tapped(const HubertStates& states, const Layer& layer) const {
    switch (layer.kind) {
      case Layer::Kind::conv:
        return states.conv;
      case Layer::Kind::proj:
        return states.proj;
      case Layer::Kind::enc:
        return states.enc[static_cast<std::size_t>(layer.index)];
      case Layer::Kind::final:
        return states.final;
      case Layer::Kind::head: {
        const std::vector<int>& heads = config_.prediction.layers;
        const auto place = std::find(heads.begin(), heads.end(), layer.index) - heads.begin();
        return states.heads[static_cast<std::size_t>(place)];
      }
    }
    return {};
  }

  at::Device device_;
  bool compat_;
  int batch_utterances_;
  double window_;  // seconds
  int threads_ = 1;
  ModelConfig config_;
  std::string hash_;
  std::string stamped_wave_norm_;
  std::vector<Layer> layers_;
  std::vector<EncoderOutput> outputs_;
  HubertModel network_{nullptr};
};

}  // namespace

std::unique_ptr<FrameEncoder> make_model_encoder(const EncoderOptions& options) {
  return std::make_unique<ModelEncoder>(options);
}

}  // namespace retort
