#include "distill/torch_masked_prediction.h"

#include "nn/torch_losses.h"

namespace retort {
namespace {

class MaskedPredictionObjective : public TrainingObjective {
 public:
  MaskedPredictionObjective(const MaskedPrediction& options, double feature_grad_mult, int64_t classes)
      : options_(options), feature_grad_mult_(feature_grad_mult), classes_(classes) {}

  BatchLoss loss(const TrainingBatch& batch, HubertModel& student, Metrics& metrics) const override {
    HubertForwardOptions forward;
    forward.time_mask = batch.masked;
    forward.feature_grad_mult = feature_grad_mult_;
    forward.feature_penalty = true;
    const HubertStates states = student->forward(batch.waveforms, batch.lengths, forward);

    const at::Tensor unmasked = batch.masked.logical_not();
    BatchLoss loss;
    const auto add = [&](const char* kind, const at::Tensor& chosen, double weight) {
      const at::AutoGradMode with_gradient(at::GradMode::is_enabled() && weight > 0);
      const FrameLoss term = prediction_loss(states.final, batch.labels, chosen, kind, student, metrics);
      if (weight <= 0) return;
      loss.sum = loss.sum.defined() ? loss.sum + weight * term.sum : weight * term.sum;
      loss.frames += static_cast<double>(term.frames);
    };
    add("masked", batch.masked, options_.masked);
    add("unmasked", batch.valid.defined() ? unmasked.logical_and(batch.valid) : unmasked, options_.unmasked);
    loss.sum = loss.sum + options_.feature_penalty * loss.frames * states.feature_penalty;
    metrics.add("feature_penalty", states.feature_penalty, 1);
    return loss;
  }

  std::vector<std::string> headline() const override {
    return {"masked.loss", "masked.accuracy", "unmasked.loss", "unmasked.accuracy"};
  }

 private:
  // Of the frames chosen, (rows, frames) bool.
  FrameLoss prediction_loss(const at::Tensor& states, const at::Tensor& labels, const at::Tensor& chosen,
                            const std::string& kind, HubertModel& student, Metrics& metrics) const {
    const at::Tensor indices = chosen.flatten().nonzero().squeeze(1);
    const at::Tensor logits = student->label_logits(states.flatten(0, 1).index_select(0, indices));
    const at::Tensor targets = labels.flatten().index_select(0, indices);
    const FrameLoss loss = cross_entropy(logits, targets);
    const at::Tensor predictions = logits.detach().argmax(-1);
    const auto frames = static_cast<double>(loss.frames);
    metrics.add(kind + ".loss", loss.sum, frames);
    metrics.add(kind + ".accuracy", predictions.eq(targets).sum(), frames);
    metrics.count(kind + ".frames", loss.frames);
    if (kind == "masked") {
      metrics.add_classes("target_perplexity", targets, classes_);
      metrics.add_classes("prediction_perplexity", predictions, classes_);
    }
    return loss;
  }

  const MaskedPrediction options_;
  const double feature_grad_mult_;
  const int64_t classes_;
};

}  // namespace

std::unique_ptr<TrainingObjective> make_masked_prediction(const MaskedPrediction& options,
                                                          double feature_grad_mult, int64_t classes) {
  return std::make_unique<MaskedPredictionObjective>(options, feature_grad_mult, classes);
}

}  // namespace retort
