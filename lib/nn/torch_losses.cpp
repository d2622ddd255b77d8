#include "nn/torch_losses.h"

#include <cmath>

#include "base/error.h"
#include "nn/torch_precision.h"

namespace retort {
namespace {

constexpr double cosine_eps = 1e-8;  // least length a vector is divided by, as in torch.cosine_similarity

void check_same_shape(const at::Tensor& ours, const at::Tensor& theirs, const char* what) {
  if (ours.sizes() != theirs.sizes())
    fail("{} of student {} and teacher {} differ in shape", what, c10::str(ours.sizes()),
         c10::str(theirs.sizes()));
}

void check_temperature(double temperature) {
  if (!(temperature > 0) || !std::isfinite(temperature))
    fail("a temperature of {} is not positive", temperature);
}

struct Pair {
  at::Tensor prediction, target;
};

Pair matching(const at::Tensor& prediction, const at::Tensor& target) {
  check_same_shape(prediction, target, "layers");
  return {in_full_precision(prediction), in_full_precision(target.detach())};
}

FrameLoss total(const at::Tensor& per_frame, const at::Tensor& counted) {
  if (!counted.defined()) return {per_frame.sum(), per_frame.numel()};
  if (counted.sizes() != per_frame.sizes())
    fail("frames {} and the choice among them {} differ in shape", c10::str(per_frame.sizes()),
         c10::str(counted.sizes()));
  return {per_frame.masked_fill(counted.logical_not(), 0).sum(), counted.sum().item<int64_t>()};
}

at::Tensor row_norms(const at::Tensor& rows, double order) {
  return at::linalg_vector_norm(rows, order, at::IntArrayRef{-1});
}

at::Tensor softened(const at::Tensor& logits, double temperature) {
  const at::Tensor values = in_full_precision(logits);
  return temperature == 1 ? values : values / temperature;
}

// What a row of logits says in two questions: is it the label, and if not, which other class.
struct Decoupled {
  at::Tensor margin;  // (frames): log odds of the label, log(p / (1 - p))
  at::Tensor others;  // (frames, classes): log probabilities without the label, -inf at the label
};

Decoupled decouple(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor others = logits.scatter(1, labels, -INFINITY);
  const at::Tensor margin = logits.gather(1, labels).squeeze(1) - at::logsumexp(others, at::IntArrayRef{1});
  return {margin, at::log_softmax(others, 1)};
}

// KL of two classes per frame, from log odds.
at::Tensor binary_divergence(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor yes = at::sigmoid(teacher) * (at::log_sigmoid(teacher) - at::log_sigmoid(student));
  const at::Tensor no = at::sigmoid(-teacher) * (at::log_sigmoid(-teacher) - at::log_sigmoid(-student));
  return yes + no;
}

}  // namespace

// The norm sums absolute values without writing them out.
FrameLoss l1_distance(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& counted) {
  const WithoutAutocast scope;
  const auto [p, t] = matching(prediction, target);
  return total(row_norms(p - t, 1) / static_cast<double>(p.size(-1)), counted);
}

FrameLoss squared_distance(const at::Tensor& prediction, const at::Tensor& target,
                           const at::Tensor& counted) {
  const WithoutAutocast scope;
  const auto [p, t] = matching(prediction, target);
  return total(at::mse_loss(p, t, at::Reduction::None).mean(at::IntArrayRef{-1}), counted);
}

// Unlike at::cosine_similarity this writes out no vectors of unit length.
FrameLoss cosine_dissimilarity(const at::Tensor& prediction, const at::Tensor& target,
                               const at::Tensor& counted) {
  const WithoutAutocast scope;
  const auto [p, t] = matching(prediction, target);
  const at::Tensor cosine =
      at::linalg_vecdot(p, t) / row_norms(p, 2).clamp_min(cosine_eps) / row_norms(t, 2).clamp_min(cosine_eps);
  return total(-at::log_sigmoid(cosine), counted);
}

FrameLoss cross_entropy(const at::Tensor& logits, const at::Tensor& labels) {
  const WithoutAutocast scope;
  return {at::cross_entropy_loss(in_full_precision(logits), labels, {}, at::Reduction::Sum), labels.numel()};
}

FrameLoss distillation(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                       double temperature) {
  const WithoutAutocast scope;
  check_same_shape(student_logits, teacher_logits, "logits");
  check_temperature(temperature);
  const at::Tensor student = at::log_softmax(softened(student_logits, temperature), 1);
  const at::Tensor teacher = at::log_softmax(softened(teacher_logits.detach(), temperature), 1);
  const at::Tensor divergence = at::kl_div(student, teacher, at::Reduction::Sum, /*log_target=*/true);
  return {divergence * (temperature * temperature), student_logits.size(0)};
}

DecoupledLoss decoupled_distillation(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                                     const at::Tensor& labels, double temperature) {
  const WithoutAutocast scope;
  check_same_shape(student_logits, teacher_logits, "logits");
  check_temperature(temperature);
  const at::Tensor columns = labels.unsqueeze(1);
  const Decoupled student = decouple(softened(student_logits, temperature), columns);
  const Decoupled teacher = decouple(softened(teacher_logits.detach(), temperature), columns);
  // -inf minus -inf at the label, where the probability is zero.
  const at::Tensor ratios = (teacher.others - student.others).scatter(1, columns, 0);
  const double scale = temperature * temperature;
  const int64_t frames = labels.numel();
  return {{binary_divergence(student.margin, teacher.margin).sum() * scale, frames},
          {(teacher.others.exp() * ratios).sum() * scale, frames}};
}

// Distances are the same from any origin; from the centroids' mean they lose least to cancellation.
at::Tensor codebook_logits(const at::Tensor& frames, const at::Tensor& centroids, double scale) {
  const WithoutAutocast scope;
  if (frames.size(-1) != centroids.size(1))
    fail("frames have {} dims, the codebook's centroids {}", frames.size(-1), centroids.size(1));
  if (!(scale > 0)) fail("a scale of {} for distances to the codebook is not positive", scale);
  const at::Tensor origin = in_full_precision(centroids).mean(at::IntArrayRef{0}, true);
  const at::Tensor c = in_full_precision(centroids) - origin;
  const at::Tensor x = in_full_precision(frames) - origin;
  const at::Tensor lengths = x.square().sum(at::IntArrayRef{-1}, true) / scale;
  return at::addmm(c.square().sum(at::IntArrayRef{-1}) / -scale, x, c.t(), 1, 2 / scale)
      .sub_(lengths)
      .clamp_max_(0);
}

}  // namespace retort
