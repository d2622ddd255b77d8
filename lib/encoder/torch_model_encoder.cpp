#include <torch/torch.h>

#include <algorithm>

#include "base/threads.h"
#include "encoder/model_encoder.h"
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

class ModelEncoder : public FrameEncoder {
 public:
  explicit ModelEncoder(const EncoderOptions& options) : device_(parse_device(options.device)) {
    if (device_.is_cuda()) at::globalContext().setAllowTF32CuDNN(false);  // f32 means f32
    threads_ = options.threads > 0 ? options.threads : available_threads();
    at::set_num_threads(threads_);
    const ModelWeights weights = read_model(options.model);
    config_ = weights.config;
    hash_ = weights.hash();
    layers_ = parse_layers(options.layers.empty() ? "final" : options.layers, config_);
    for (const Layer& layer : layers_)
      outputs_.push_back({layer.name(), layer_dim(layer, config_), config_.stride()});
    network_ = HubertModel(weights);
    network_->to(device_);
    network_->eval();
    forward({std::vector<float>(
        static_cast<size_t>(config_.receptive_field()))});  // makes what it keeps, before threads do
  }

  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(int64_t samples) const override { return config_.frames(samples); }
  double batch_seconds() const override {
    return device_.is_cuda() ? largest_batch_seconds
                             : std::min(largest_batch_seconds, threads_ * cpu_batch_seconds_per_thread);
  }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    const bool one_each = device_.is_cpu() && waveforms.size() >= static_cast<size_t>(threads_);
    return one_each ? encode_each(waveforms) : forward(waveforms);
  }

  FrameOrigin origin(std::size_t output) const override {
    FrameOrigin origin;
    origin.model = hash_;
    origin.layer = outputs_[output].layer;
    origin.wave_norm = config_.wave_norm;
    origin.batching = "exact";
    origin.hop = config_.stride();
    return origin;
  }

 private:
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
    HubertForwardOptions options;
    options.last_block = last_block();
    const HubertStates states = network_->forward(pad_waveforms(normalised).to(device_), lengths, options);
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    for (const Layer& layer : layers_) {
      const at::Tensor batch = tapped(states, layer).to(at::kCPU);
      for (std::size_t i = 0; i < waveforms.size(); ++i)
        encoded[i].push_back(to_matrix(batch[static_cast<int64_t>(i)].narrow(0, 0, states.frames[i])));
    }
    return encoded;
  }

  // Blocks that have to run for the deepest layer asked for.
  int last_block() const {
    int deepest = 0;
    for (const Layer& layer : layers_) {
      if (layer.kind == Layer::Kind::final) return -1;
      if (layer.kind == Layer::Kind::enc) deepest = std::max(deepest, layer.index);
    }
    return deepest;
  }

  static at::Tensor tapped(const HubertStates& states, const Layer& layer) {
    switch (layer.kind) {
      case Layer::Kind::conv:
        return states.conv;
      case Layer::Kind::proj:
        return states.proj;
      case Layer::Kind::enc:
        return states.enc[static_cast<std::size_t>(layer.index)];
      default:
        return states.final;
    }
  }

  at::Device device_;
  int threads_ = 1;
  ModelConfig config_;
  std::string hash_;
  std::vector<Layer> layers_;
  std::vector<EncoderOutput> outputs_;
  HubertModel network_{nullptr};
};

}  // namespace

std::unique_ptr<FrameEncoder> make_model_encoder(const EncoderOptions& options) {
  return std::make_unique<ModelEncoder>(options);
}

}  // namespace retort
