// A linear classifier of frames, trained to its one optimum.
#pragma once

#include <cstdint>
#include <vector>

namespace retort {

// Frames with their classes; rows are where they are.
struct ClassifiedFrames {
  int64_t dim = 0;
  std::vector<const float*> rows;
  std::vector<int32_t> classes;  // 0 .. K - 1

  int64_t count() const { return static_cast<int64_t>(rows.size()); }
};

struct SoftmaxOptions {
  int64_t classes = 0;  // K
  // The penalty: l2 / 2 times the sum of squared weights (no biases), beside the mean cross-entropy. So small
  // that it hardly costs accuracy, and large enough that the optimum is found in a hundred iterations or so.
  double l2 = 1e-4;
  // No entry of the gradient is larger in the end. A tenth of it changes accuracies by 0.0005 at most.
  double tolerance = 1e-4;
  int iterations = 500;  // at most
  int threads = 0;       // 0: all
};

// Multinomial logistic regression on frames of which each dimension was given mean 0 and variance 1 by those
// that it is trained on. The objective is convex, so there is neither a learning rate nor a seed to choose.
class SoftmaxRegression {
 public:
  // By preconditioned L-BFGS from zeros. Deterministic, whatever the threads. An Error where the frames are
  // of one class.
  static SoftmaxRegression train(const ClassifiedFrames& frames, const SoftmaxOptions& options);

  // How many of the frames get their class.
  int64_t correct(const ClassifiedFrames& frames) const;
  double loss() const { return loss_; }  // the objective that was reached
  int iterations() const { return iterations_; }
  bool converged() const { return converged_; }

 private:
  friend class SoftmaxObjective;

  int64_t classes_ = 0;
  int64_t dim_ = 0;
  int threads_ = 0;
  std::vector<float> shift_, scale_;  // (dim)
  std::vector<double> point_;         // (K, dim + 1): weights and a bias per class
  double loss_ = 0;
  int iterations_ = 0;
  bool converged_ = false;
};

}  // namespace retort
