#include <torch/torch.h>

#include <algorithm>

#include "base/threads.h"
#include "encoder/model_encoder.h"
#include "model/checkpoint.h"
#include "model/layers.h"
#include "nn/hubert.h"
#include "nn/torch_device.h"
#include "torch_encoder/use_torch_encoder.h"

namespace retort {
namespace {

Matrix to_matrix(const at::Tensor& frames) {
  const at::Tensor values = frames.to(at::kCPU, at::kFloat).contiguous();
  Matrix matrix(values.size(0), values.size(1));
  std::copy_n(values.const_data_ptr<float>(), values.numel(), matrix.data());
  return matrix;
}

class TorchModelEncoder : public ModelEncoder {
 public:
  explicit TorchModelEncoder(const EncoderOptions& options)
      : ModelEncoder(options, open_model(options.model)), device_(parse_device(options.device)) {
    if (device_.is_cuda()) at::globalContext().setAllowTF32CuDNN(false);  // f32 means f32
    at::set_num_threads(threads());
    const ModelWeights weights = read_weights(source());
    set_hash(weights.hash());
    network_ = HubertModel(weights);
    network_->to(device_);
    network_->eval();
    forward({std::vector<float>(
        static_cast<size_t>(config().receptive_field()))});  // makes what it keeps, before threads do
  }

  BatchRule batches() const override {
    const double seconds = device_.is_cuda() ? most_batch_seconds : cpu_batch_seconds();
    return {seconds, batch_utterances()};
  }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    if (is_compat()) return forward(waveforms);
    const auto too_long = [this](const std::vector<float>& waveform) { return is_long(waveform); };
    if (std::any_of(waveforms.begin(), waveforms.end(), too_long)) {
      std::vector<std::vector<Matrix>> encoded;
      for (const std::vector<float>& waveform : waveforms)
        encoded.push_back(is_long(waveform) ? encode_long(waveform) : forward({waveform}).front());
      return encoded;
    }
    const bool one_each = device_.is_cpu() && waveforms.size() >= static_cast<size_t>(threads());
    return one_each ? encode_each(waveforms) : forward(waveforms);
  }

 private:
  // Every thread takes whole utterances: no padding, and no operator has threads to wait for.
  std::vector<std::vector<Matrix>> encode_each(const std::vector<std::vector<float>>& waveforms) {
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    const OneThreadPerOperator one_thread;
    parallel_for(waveforms.size(), threads(),
                 [&](std::size_t i) { encoded[i] = std::move(forward({waveforms[i]}).front()); });
    return encoded;
  }

  // One padded batch.
  std::vector<std::vector<Matrix>> forward(const std::vector<std::vector<float>>& waveforms) {
    const c10::InferenceMode inference;
    std::vector<std::vector<float>> all_normalised;
    std::vector<int64_t> lengths;
    for (const std::vector<float>& waveform : waveforms) {
      all_normalised.push_back(normalised(waveform));
      lengths.push_back(static_cast<int64_t>(waveform.size()));
    }
    const at::Tensor padded = pad_waveforms(all_normalised).to(device_);
    // The Python tools give models with GroupNorm no lengths, so that all are as long as the longest.
    const bool see_padding = is_compat() && config().conv_norm == ConvNorm::group;
    const HubertStates states = network_->forward(
        padded, see_padding ? std::vector<int64_t>(lengths.size(), padded.size(1)) : lengths,
        forward_options());
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    for (const Layer& layer : layers()) {
      const at::Tensor batch = tapped(states, layer).to(at::kCPU);
      for (std::size_t i = 0; i < waveforms.size(); ++i)
        encoded[i].push_back(to_matrix(
            batch[static_cast<int64_t>(i)].narrow(0, 0, layer_frames(layer, config(), lengths[i]))));
    }
    return encoded;
  }

  std::vector<Matrix> encode_long(const std::vector<float>& waveform) {
    const c10::InferenceMode inference;
    const at::Tensor samples = pad_waveforms({normalised(waveform)})[0].to(device_);
    const ConvFrames conv = network_->conv_frames(samples);
    return encode_windows(samples.size(0), conv.count(), [&](int64_t first, int64_t count) {
      const HubertStates states =
          network_->forward_frames(conv.frames(first, count).unsqueeze(0), forward_options());
      std::vector<Matrix> rows;
      for (const Layer& layer : layers()) rows.push_back(to_matrix(tapped(states, layer)[0]));
      return rows;
    });
  }

  HubertForwardOptions forward_options() const {
    HubertForwardOptions options;
    options.last_block = last_block();
    options.prediction_heads = std::any_of(
        layers().begin(), layers().end(), [](const Layer& layer) { return layer.kind == Layer::Kind::head; });
    return options;
  }

  // Blocks that have to run for the deepest layer asked for.
  int last_block() const {
    int deepest = 0;
    for (const Layer& layer : layers()) {
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
        const std::vector<int>& heads = config().prediction.layers;
        const auto place = std::find(heads.begin(), heads.end(), layer.index) - heads.begin();
        return states.heads[static_cast<std::size_t>(place)];
      }
    }
    return {};
  }

  at::Device device_;
  HubertModel network_{nullptr};
};

}  // namespace

void use_torch_encoder() {
  make_torch_model_encoder = [](const EncoderOptions& options) -> std::unique_ptr<FrameEncoder> {
    return std::make_unique<TorchModelEncoder>(options);
  };
}

}  // namespace retort
