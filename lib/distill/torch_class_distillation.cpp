#include "distill/torch_class_distillation.h"

#include "base/error.h"
#include "model/layers.h"
#include "nn/torch_losses.h"

namespace retort {
namespace {

class ClassDistillationObjective : public TrainingObjective {
 public:
  ClassDistillationObjective(const ClassDistillation& options, double feature_grad_mult, int64_t classes,
                             Teacher teacher, const at::Device& device)
      : options_(options),
        feature_grad_mult_(feature_grad_mult),
        classes_(classes),
        teacher_(std::move(teacher)) {
    if (!teacher_.codebook) return;
    const Matrix& centroids = teacher_.codebook->centroids;
    centroids_ = at::from_blob(const_cast<float*>(centroids.data()), {centroids.rows(), centroids.columns()},
                               at::kFloat)
                     .to(device);
    const FeatureNorm& norm = teacher_.codebook->norm;
    if (norm.kind == "meanvar") {
      mean_ = at::tensor(norm.mean).to(device);
      scale_ = at::tensor(norm.scale).to(device);
    }
    if (!teacher_.model.is_empty())
      layer_ = parse_layer(teacher_.codebook->origin.layer, teacher_.model->config());
    codebook_scale_ =
        options.codebook_scale * json_get<double>(teacher_.codebook->report, "inertia", "codebook.json");
  }

  BatchLoss loss(const TrainingBatch& batch, HubertModel& student, Metrics& metrics) const override {
    const at::Tensor chosen =
        batch.valid.defined() ? batch.valid.flatten().nonzero().squeeze(1) : at::Tensor();
    const auto counted = [&](const at::Tensor& frames) {
      const at::Tensor flat = frames.flatten(0, 1);
      return chosen.defined() ? flat.index_select(0, chosen) : flat;
    };
    const at::Tensor target = teacher_logits(batch, counted);
    HubertForwardOptions forward;
    forward.feature_grad_mult = feature_grad_mult_;
    const HubertStates states = student->forward(batch.waveforms, batch.lengths, forward);
    const at::Tensor logits = student->label_logits(counted(states.final));
    const at::Tensor choice = target.argmax(-1);
    const at::Tensor labels = batch.labels.defined() ? counted(batch.labels) : choice;

    BatchLoss loss = weighted_terms(logits, target, labels, metrics);
    const at::Tensor predictions = logits.detach().argmax(-1);
    metrics.add("accuracy", predictions.eq(labels).sum(), loss.frames);
    metrics.add("agreement", predictions.eq(choice).sum(), loss.frames);
    metrics.add_classes("target_perplexity", labels, classes_);
    metrics.add_classes("prediction_perplexity", predictions, classes_);
    return loss;
  }

  std::vector<std::string> headline() const override {
    std::vector<std::string> names;
    for (const auto& [name, weight] : {std::pair{"cross_entropy", options_.cross_entropy},
                                       {"distillation", options_.distillation},
                                       {"target_class", options_.target_class},
                                       {"other_classes", options_.other_classes}})
      if (weight > 0) names.emplace_back(name);
    names.emplace_back("accuracy");
    return names;
  }

 private:
  template <class Counted>
  at::Tensor teacher_logits(const TrainingBatch& batch, const Counted& counted) const {
    const at::NoGradGuard no_grad;
    if (!batch.features.empty())
      return codebook_logits(normalised(counted(batch.features.front())), centroids_, codebook_scale_);
    HubertModel teacher = teacher_.model;
    HubertForwardOptions forward;
    if (teacher_.codebook && layer_.kind == Layer::Kind::enc) forward.last_block = layer_.index;
    const HubertStates states = teacher->infer(batch.teacher_waveforms, batch.lengths, forward);
    if (!teacher_.codebook) return teacher->label_logits(counted(states.final));
    const at::Tensor frames =
        layer_.kind == Layer::Kind::enc ? states.enc[static_cast<std::size_t>(layer_.index)] : states.final;
    return codebook_logits(normalised(counted(frames)), centroids_, codebook_scale_);
  }

  // Frames (n, dim) as the codebook takes them (FeatureNorm).
  at::Tensor normalised(const at::Tensor& frames) const {
    const std::string& kind = teacher_.codebook->norm.kind;
    if (kind == "meanvar") return (frames - mean_) * scale_;
    if (kind != "l2") return frames;
    const at::Tensor lengths = frames.norm(2, -1, true);
    return frames / at::where(lengths == 0, at::ones_like(lengths), lengths);
  }

  BatchLoss weighted_terms(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& labels,
                           Metrics& metrics) const {
    BatchLoss loss{{}, static_cast<double>(labels.numel())};
    const auto add = [&](const char* name, double weight, const FrameLoss& term) {
      metrics.add(name, term.sum, loss.frames);
      const at::Tensor weighted = weight * term.sum;
      loss.sum = loss.sum.defined() ? loss.sum + weighted : weighted;
    };
    if (options_.cross_entropy > 0)
      add("cross_entropy", options_.cross_entropy, cross_entropy(logits, labels));
    if (options_.distillation > 0)
      add("distillation", options_.distillation, distillation(logits, target, options_.temperature));
    if (options_.target_class > 0 || options_.other_classes > 0) {
      const DecoupledLoss parts = decoupled_distillation(logits, target, labels, options_.temperature);
      add("target_class", options_.target_class, parts.target_class);
      add("other_classes", options_.other_classes, parts.other_classes);
    }
    return loss;
  }

  const ClassDistillation options_;
  const double feature_grad_mult_;
  const int64_t classes_;
  const Teacher teacher_;
  at::Tensor centroids_;     // (classes, dim)
  at::Tensor mean_, scale_;  // (dim), of a codebook with mean and variance normalisation
  Layer layer_;              // that the codebook is of, where the teacher computes it
  double codebook_scale_ = 1;
};

}  // namespace

std::unique_ptr<TrainingObjective> make_class_distillation(const ClassDistillation& options,
                                                           double feature_grad_mult, int64_t classes,
                                                           Teacher teacher, const at::Device& device) {
  const std::string layer = teacher.codebook ? teacher.codebook->origin.layer : "";
  if (teacher.codebook && layer != "final" && !layer.starts_with("enc"))
    fail("--codebook: it is of layer {}; the classes of a block's output (enc1, ...) can be distilled",
         layer);
  if (!teacher.codebook && (teacher.model.is_empty() || teacher.model->config().classes == 0))
    fail("--teacher: this model has no class head; give a --codebook of one of its layers");
  return std::make_unique<ClassDistillationObjective>(options, feature_grad_mult, classes, std::move(teacher),
                                                      device);
}

}  // namespace retort
