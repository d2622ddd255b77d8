#include "distill/torch_layer_prediction.h"

#include <algorithm>

#include "nn/torch_conv_stack.h"
#include "nn/torch_losses.h"

namespace retort {
namespace {

// Mean over values of the standard deviation over frames: how much a layer's output varies.
at::Tensor spread(const at::Tensor& frames) {
  return frames.detach().flatten(0, 1).to(at::kFloat).std(at::IntArrayRef{0}, /*unbiased=*/false).mean();
}

class LayerPredictionObjective : public TrainingObjective {
 public:
  LayerPredictionObjective(const LayerPrediction& options, double feature_grad_mult,
                           const PredictionHeads& heads, HubertModel teacher)
      : options_(options),
        feature_grad_mult_(feature_grad_mult),
        layers_(heads.layers),
        teacher_(std::move(teacher)) {}

  BatchLoss loss(const TrainingBatch& batch, HubertModel& student, Metrics& metrics) const override {
    const std::vector<at::Tensor> targets = teacher_layers(batch);
    HubertForwardOptions forward;
    forward.feature_grad_mult = feature_grad_mult_;
    forward.prediction_heads = true;
    forward.time_mask = batch.masked;
    const HubertStates states = student->forward(batch.waveforms, batch.lengths, forward);

    // Heads behind a time reduction come in whole windows, so they may lack the teacher's last frame.
    const FrameLengths lengths = head_lengths(student->config(), states);
    const at::Tensor counted =
        lengths.equal() ? at::Tensor() : lengths.padding(batch.waveforms.device()).logical_not();
    BatchLoss loss;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const FrameLoss layer =
          layer_loss(states.heads[i], targets[i].narrow(1, 0, lengths.longest), counted, layers_[i], metrics);
      const at::Tensor term = weight(i) * layer.sum;
      loss.sum = loss.sum.defined() ? loss.sum + term : term;
      loss.frames = static_cast<double>(layer.frames);
    }
    metrics.add("spread.prediction", spread(states.heads.back()), 1);
    metrics.add("spread.target", spread(targets.back()), 1);
    return loss;
  }

  std::vector<std::string> headline() const override { return terms(); }

 private:
  std::vector<at::Tensor> teacher_layers(const TrainingBatch& batch) const {
    if (!batch.features.empty()) return batch.features;
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> targets = teacher_layers(batch, {});
    if (!batch.masked.defined()) return targets;
    const at::Tensor hidden = batch.masked.unsqueeze(2);
    const std::vector<at::Tensor> masked = teacher_layers(batch, batch.masked);
    for (std::size_t i = 0; i < targets.size(); ++i) targets[i] = at::where(hidden, targets[i], masked[i]);
    return targets;
  }

  std::vector<at::Tensor> teacher_layers(const TrainingBatch& batch, const at::Tensor& mask) const {
    HubertForwardOptions forward;
    forward.last_block = *std::max_element(layers_.begin(), layers_.end());
    forward.time_mask = mask;
    HubertModel teacher = teacher_;
    const HubertStates states = teacher->infer(batch.teacher_waveforms, batch.lengths, forward);
    std::vector<at::Tensor> targets;
    for (const int layer : layers_) targets.push_back(states.enc[static_cast<std::size_t>(layer)]);
    return targets;
  }

  static FrameLengths head_lengths(const ModelConfig& student, const HubertStates& states) {
    FrameLengths lengths{states.block_frames, states.heads.front().size(1)};
    if (student.prediction.kind == PredictionHeads::Kind::upsampled)
      for (std::size_t i = 0; i < lengths.valid.size(); ++i)
        lengths.valid[i] = student.head_frames(states.frames[i]);
    return lengths;
  }

  FrameLoss layer_loss(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& counted,
                       int layer, Metrics& metrics) const {
    FrameLoss sum;
    const auto add = [&](const char* name, double weight, auto&& distance) {
      if (weight <= 0) return;
      const FrameLoss term = distance(prediction, target, counted);
      const auto frames = static_cast<double>(term.frames);
      metrics.add(name, term.sum, frames);
      if (layers_.size() > 1) metrics.add(fmt::format("layer{}.{}", layer, name), term.sum, frames);
      sum.sum = sum.sum.defined() ? sum.sum + weight * term.sum : weight * term.sum;
      sum.frames = term.frames;
    };
    add("l1", options_.l1, l1_distance);
    add("squared", options_.squared, squared_distance);
    add("cosine", options_.cosine, cosine_dissimilarity);
    return sum;
  }

  double weight(std::size_t layer) const {
    const double chosen = layer + 1 == layers_.size() ? options_.last_weight : options_.hint_weight;
    return options_.mean_over_layers ? chosen / static_cast<double>(layers_.size()) : chosen;
  }

  std::vector<std::string> terms() const {
    std::vector<std::string> names;
    if (options_.l1 > 0) names.emplace_back("l1");
    if (options_.squared > 0) names.emplace_back("squared");
    if (options_.cosine > 0) names.emplace_back("cosine");
    return names;
  }

  const LayerPrediction options_;
  const double feature_grad_mult_;
  const std::vector<int> layers_;
  const HubertModel teacher_;
};

}  // namespace

std::unique_ptr<TrainingObjective> make_layer_prediction(const LayerPrediction& options,
                                                         double feature_grad_mult,
                                                         const PredictionHeads& heads,
                                                         const HubertModel& teacher) {
  return std::make_unique<LayerPredictionObjective>(options, feature_grad_mult, heads, teacher);
}

}  // namespace retort
