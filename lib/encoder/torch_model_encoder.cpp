#include <torch/torch.h>

#include <algorithm>

#include "base/threads.h"
#include "encoder/model_encoder.h"
#include "model/layers.h"
#include "nn/hubert.h"

namespace retort {
namespace {

// Seconds of audio in one forward. On a CPU a batch only has to hide the cost of calling operators on short
// utterances; on a GPU it has to fill the chip.
constexpr double cpu_batch_seconds = 20;
constexpr double cuda_batch_seconds = 320;

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
    at::set_num_threads(options.threads > 0 ? options.threads : available_threads());
    const ModelWeights weights = read_model(options.model);
    config_ = weights.config;
    hash_ = weights.hash();
    layers_ = parse_layers(options.layers.empty() ? "final" : options.layers, config_);
    for (const Layer& layer : layers_)
      outputs_.push_back({layer.name(), layer_dim(layer, config_), config_.stride()});
    network_ = HubertModel(weights);
    network_->to(device_);
    network_->eval();
  }

  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(int64_t samples) const override { return config_.frames(samples); }
  double batch_seconds() const override { return device_.is_cuda() ? cuda_batch_seconds : cpu_batch_seconds; }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    const c10::InferenceMode inference;
    std::vector<std::vector<float>> normalised;
    std::vector<int64_t> lengths;
    for (const std::vector<float>& waveform : waveforms) {
      normalised.push_back(normalise_waveform(waveform, config_.wave_norm));
      lengths.push_back(static_cast<int64_t>(waveform.size()));
    }
    HubertForwardOptions forward;
    forward.last_block = last_block();
    const HubertStates states = network_->forward(pad_waveforms(normalised).to(device_), lengths, forward);
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    for (const Layer& layer : layers_) {
      const at::Tensor batch = tapped(states, layer).to(at::kCPU);
      for (std::size_t i = 0; i < waveforms.size(); ++i)
        encoded[i].push_back(to_matrix(batch[static_cast<int64_t>(i)].narrow(0, 0, states.frames[i])));
    }
    return encoded;
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
