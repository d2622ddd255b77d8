// The losses of the four methods, as functions of tensors.
//
// All of them sum over frames and say how many they counted, so that an update that is made of several
// batches divides by what it counted altogether. They compute in f32 (f64 for f64 inputs), whatever the type
// of their inputs and whether or not autocast is on. Targets get no gradient.
#pragma once

#include <ATen/ATen.h>

namespace retort {

struct FrameLoss {
  at::Tensor sum;  // scalar
  int64_t frames = 0;
};

// Distances of predictions to a teacher's layer: (batch, frames, dim) each. `counted` is (batch, frames)
// bool, the frames that take part; undefined: all. What stands in the others changes neither loss nor
// gradient, as long as it is finite.

// Per frame the mean of |p - t| over dims (DistilHuBERT).
FrameLoss l1_distance(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& counted = {});

// Per frame the mean of (p - t)^2 over dims (FitHuBERT's hints; ARMHuBERT's, over masked or unmasked frames).
FrameLoss squared_distance(const at::Tensor& prediction, const at::Tensor& target,
                           const at::Tensor& counted = {});

// Per frame -log sigmoid(cos(p, t)), as s3prl's DistilHuBERT has it.
FrameLoss cosine_dissimilarity(const at::Tensor& prediction, const at::Tensor& target,
                               const at::Tensor& counted = {});

// Losses over classes: logits (frames, classes), labels (frames) int64.

FrameLoss cross_entropy(const at::Tensor& logits, const at::Tensor& labels);

// T^2 KL(softmax(teacher / T) || softmax(student / T)) (Hinton et al. 2015).
FrameLoss distillation(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                       double temperature);

// Decoupled knowledge distillation (Zhao et al. 2022; mdistiller's DKD.py): the divergence of
// distillation() taken apart at each frame's label. With the teacher's probability p_t of the label at the
// same temperature, a frame's distillation is target_class + (1 - p_t) other_classes.
struct DecoupledLoss {
  FrameLoss target_class;   // TCKD: the label against all else, two classes
  FrameLoss other_classes;  // NCKD: the other classes among themselves
};

// In log space throughout: finite, as are its gradients, where p_t is 0 or 1.
DecoupledLoss decoupled_distillation(const at::Tensor& student_logits, const at::Tensor& teacher_logits,
                                     const at::Tensor& labels, double temperature);

// Logits (frames, classes) for a teacher that has a codebook and no head: minus the squared distances of its
// frames (frames, dim) to the centroids (classes, dim), over `scale`.
at::Tensor codebook_logits(const at::Tensor& frames, const at::Tensor& centroids, double scale);

}  // namespace retort
