#include "measures/softmax_regression.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/pages.h"
#include "base/signals.h"
#include "base/thread_team.h"
#include "base/threads.h"
#include "kernels/product.h"
#include "kernels/row_kernels.h"
#include "measures/cholesky.h"
#include "measures/lbfgs.h"

namespace retort {
namespace {

constexpr int64_t block_rows = 256;
// Parts of the frames whose sums are made one by one and then added in order, so that the outcome does not
// depend on the threads.
constexpr int64_t parts = 16;
constexpr int64_t covariance_frames = 16384;  // that the preconditioner is made from; it need not be exact
// Added to every variance there: rare classes, of which the penalty is what bends the objective most, are not
// sent too far along directions in which frames hardly differ.
constexpr double added_variance = 5e-2;

// Mean and one over the deviation of each dimension; dimensions that never change stay zeros.
void measure_scale(const ClassifiedFrames& frames, std::vector<float>& shift, std::vector<float>& scale) {
  const auto width = static_cast<std::size_t>(frames.dim);
  const auto count = static_cast<double>(frames.count());
  std::vector<double> means(width), squares(width);
  for (const float* row : frames.rows)
    for (std::size_t i = 0; i < width; ++i) means[i] += static_cast<double>(row[i]) / count;
  for (const float* row : frames.rows)
    for (std::size_t i = 0; i < width; ++i) {
      const double difference = static_cast<double>(row[i]) - means[i];
      squares[i] += difference * difference / count;
    }
  shift.assign(means.begin(), means.end());
  scale.resize(width);
  for (std::size_t i = 0; i < width; ++i)
    scale[i] = squares[i] > 0 ? static_cast<float>(1 / std::sqrt(squares[i])) : 0;
}

void transpose(const float* from, int64_t rows, int64_t columns, float* to) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      to[column * rows + row] = from[row * columns + column];
}

}  // namespace

// Mean cross-entropy plus penalty, over a point of K rows of dim weights and a bias.
class SoftmaxObjective {
 public:
  SoftmaxObjective(const ClassifiedFrames& frames, const SoftmaxRegression& model, double l2)
      : frames_(frames), model_(model), l2_(l2), team_(model.threads_) {
    for (int64_t part = 0; part < parts; ++part) parts_.emplace_back(frames.dim, model.classes_);
  }

  std::size_t size() const { return static_cast<std::size_t>(model_.classes_ * (model_.dim_ + 1)); }

  double operator()(const std::vector<double>& point, std::vector<double>& gradient) {
    throw_if_stopped();
    const int64_t classes = model_.classes_, dim = model_.dim_;
    set_weights(point);
    for (Part& part : parts_) {
      part.loss = 0;
      std::fill(part.gradient.begin(), part.gradient.end(), 0.0);
    }
    for_each_block([this](Part& part, int64_t first, int64_t count) { sum_block(part, first, count); });
    std::fill(gradient.begin(), gradient.end(), 0.0);
    double loss = 0;
    for (const Part& part : parts_) {
      loss += part.loss;
      for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += part.gradient[i];
    }
    const auto count = static_cast<double>(frames_.count());
    loss /= count;
    for (double& value : gradient) value /= count;
    for (int64_t row = 0; row < classes; ++row)
      for (int64_t i = 0; i < dim; ++i) {
        const auto place = static_cast<std::size_t>(row * (dim + 1) + i);
        loss += l2_ / 2 * point[place] * point[place];
        gradient[place] += l2_ * point[place];
      }
    return loss;
  }

  // Solves with the Hessian that there would be if every frame had each class with the probability that the
  // class has in all, each class by itself.
  Preconditioner preconditioner() {
    const int64_t classes = model_.classes_, dim = model_.dim_;
    std::vector<double> hessian = covariance();
    for (int64_t i = 0; i < dim; ++i) hessian[static_cast<std::size_t>(i * dim + i)] += added_variance;
    return [solver = Cholesky(std::move(hessian), dim), scales = class_scales(), classes,
            dim](std::vector<double>& direction) {
      for (int64_t row = 0; row < classes; ++row) {
        double* of_class = direction.data() + row * (dim + 1);
        solver.solve(of_class);
        for (int64_t i = 0; i <= dim; ++i) of_class[i] *= scales[static_cast<std::size_t>(row)];
      }
    };
  }

  // Frames that get their class at `point`.
  int64_t correct(const std::vector<double>& point) {
    set_weights(point);
    for (Part& part : parts_) part.hits = 0;
    for_each_block([this](Part& part, int64_t first, int64_t count) { count_hits(part, first, count); });
    int64_t hits = 0;
    for (const Part& part : parts_) hits += part.hits;
    return hits;
  }

 private:
  // One part's sums, and memory to work in.
  struct Part {
    Part(int64_t dim, int64_t classes)
        : rows(static_cast<std::size_t>(block_rows * dim)),
          panels(static_cast<std::size_t>(panel_bytes(block_rows, dim, Precision::f32))),
          logits(static_cast<std::size_t>(block_rows * classes)),
          residuals(logits.size()),
          products(static_cast<std::size_t>(classes * dim)),
          gradient(static_cast<std::size_t>(classes * (dim + 1))) {}

    std::vector<float> rows;       // standardised
    Pages panels;                  // of them
    std::vector<float> logits;     // (rows, K); for gradients then probabilities less 1 at the class
    std::vector<float> residuals;  // the same, (K, rows)
    std::vector<float> products;   // (K, dim)
    std::vector<double> gradient;  // (K, dim + 1)
    double loss = 0;
    int64_t hits = 0;
  };

  // 1 / (p (1 - p)), p being the share of a class.
  std::vector<double> class_scales() const {
    std::vector<double> counts(static_cast<std::size_t>(model_.classes_));
    for (const int32_t one : frames_.classes) ++counts[static_cast<std::size_t>(one)];
    const auto all = static_cast<double>(frames_.count());
    for (double& count : counts) count = all * all / ((count + 1) * (all - count + 1));
    return counts;
  }

  // Of about `covariance_frames` of the standardised frames, (dim, dim).
  std::vector<double> covariance() {
    const int64_t dim = model_.dim_;
    const int64_t blocks = (frames_.count() + block_rows - 1) / block_rows;
    const int64_t step = std::max<int64_t>(1, blocks * block_rows / covariance_frames);
    std::vector<double> sums(static_cast<std::size_t>(dim * dim));
    std::vector<float> columns(static_cast<std::size_t>(block_rows * dim)), products(sums.size());
    int64_t summed = 0;
    for (int64_t block = 0; block < blocks; block += step) {
      const int64_t first = block * block_rows;
      const int64_t count = std::min(block_rows, frames_.count() - first);
      standardise(parts_.front(), first, count);
      transpose(parts_.front().rows.data(), count, dim, columns.data());
      multiply_block(parts_.front(), columns.data(), dim, count, products.data());
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(products[i]);
      summed += count;
    }
    for (double& sum : sums) sum /= static_cast<double>(summed);
    return sums;
  }

  // `rows` rows of `count` values each, times the standardised frames of the part's block: (rows, dim).
  void multiply_block(Part& part, const float* values, int64_t rows, int64_t count, float* out) const {
    const int64_t dim = model_.dim_;
    const Panels panels =
        pack_panels(part.rows.data(), 1, dim, count, dim, Precision::f32, part.panels.data());
    Product product;
    product.rows = values;
    product.row_stride = count;
    product.count = rows;
    product.out = out;
    product.out_stride = dim;
    multiply(path_, panels, product);
  }

  void set_weights(const std::vector<double>& point) {
    const int64_t classes = model_.classes_, dim = model_.dim_;
    std::vector<float> weights(static_cast<std::size_t>(classes * dim));
    biases_.resize(static_cast<std::size_t>(classes));
    for (int64_t row = 0; row < classes; ++row) {
      const double* from = point.data() + row * (dim + 1);
      std::copy_n(from, dim, weights.data() + row * dim);
      biases_[static_cast<std::size_t>(row)] = static_cast<float>(from[dim]);
    }
    matrix_ = PackedMatrix(weights.data(), dim, classes, Precision::f32);
  }

  // Calls body(part, first, count) for the blocks of every part, the parts on threads of their own.
  template <class Body>
  void for_each_block(const Body& body) {
    team_.run(parts_.size(), [&](std::size_t index) {
      const int64_t end = frames_.count() * (static_cast<int64_t>(index) + 1) / parts;
      for (int64_t first = frames_.count() * static_cast<int64_t>(index) / parts; first < end;
           first += block_rows)
        body(parts_[index], first, std::min(block_rows, end - first));
    });
  }

  void standardise(Part& part, int64_t first, int64_t count) const {
    const int64_t dim = model_.dim_;
    for (int64_t row = 0; row < count; ++row) {
      const float* from = frames_.rows[static_cast<std::size_t>(first + row)];
      float* to = part.rows.data() + row * dim;
      for (int64_t i = 0; i < dim; ++i) {
        const auto column = static_cast<std::size_t>(i);
        to[i] = (from[i] - model_.shift_[column]) * model_.scale_[column];
      }
    }
  }

  void score_block(Part& part, int64_t first, int64_t count) {
    const int64_t classes = model_.classes_, dim = model_.dim_;
    standardise(part, first, count);
    Product forward;
    forward.rows = part.rows.data();
    forward.row_stride = dim;
    forward.count = count;
    forward.bias = biases_.data();
    forward.out = part.logits.data();
    forward.out_stride = classes;
    multiply(path_, matrix_.panels(), forward);
  }

  void count_hits(Part& part, int64_t first, int64_t count) {
    score_block(part, first, count);
    for (int64_t row = 0; row < count; ++row) {
      const float* logits = part.logits.data() + row * model_.classes_;
      part.hits += std::max_element(logits, logits + model_.classes_) - logits ==
                   frames_.classes[static_cast<std::size_t>(first + row)];
    }
  }

  void sum_block(Part& part, int64_t first, int64_t count) {
    const int64_t classes = model_.classes_;
    score_block(part, first, count);
    softmax_rows(path_, part.logits.data(), classes, count, classes);
    for (int64_t row = 0; row < count; ++row) {
      float* probabilities = part.logits.data() + row * classes;
      float& right = probabilities[frames_.classes[static_cast<std::size_t>(first + row)]];
      constexpr float least = 1e-37f;  // the logarithm of what a float no longer holds
      part.loss -= std::log(static_cast<double>(std::max(right, least)));
      right -= 1;
    }
    transpose(part.logits.data(), count, classes, part.residuals.data());
    add_gradient(part, count);
  }

  void add_gradient(Part& part, int64_t count) const {
    const int64_t classes = model_.classes_, dim = model_.dim_;
    multiply_block(part, part.residuals.data(), classes, count, part.products.data());
    for (int64_t row = 0; row < classes; ++row) {
      double* to = part.gradient.data() + row * (dim + 1);
      const float* from = part.products.data() + row * dim;
      for (int64_t i = 0; i < dim; ++i) to[i] += static_cast<double>(from[i]);
      const float* residuals = part.residuals.data() + row * count;
      for (int64_t frame = 0; frame < count; ++frame) to[dim] += static_cast<double>(residuals[frame]);
    }
  }

  const CpuPath path_ = cpu_path();
  const ClassifiedFrames& frames_;
  const SoftmaxRegression& model_;
  const double l2_;
  ThreadTeam team_;
  PackedMatrix matrix_;
  std::vector<float> biases_;
  std::vector<Part> parts_;
};

SoftmaxRegression SoftmaxRegression::train(const ClassifiedFrames& frames, const SoftmaxOptions& options) {
  if (frames.count() == 0) fail("no frame to train a classifier on");
  if (std::all_of(frames.classes.begin(), frames.classes.end(),
                  [&](int32_t one) { return one == frames.classes.front(); }))
    fail("all {} frames are of one class, so no classifier can be trained on them", frames.count());
  SoftmaxRegression model;
  model.classes_ = options.classes;
  model.dim_ = frames.dim;
  model.threads_ = options.threads > 0 ? options.threads : available_threads();
  measure_scale(frames, model.shift_, model.scale_);
  SoftmaxObjective objective(frames, model, options.l2);
  Minimum minimum = minimise(std::ref(objective), std::vector<double>(objective.size()), options.tolerance,
                             options.iterations, objective.preconditioner());
  model.point_ = std::move(minimum.point);
  model.loss_ = minimum.value;
  model.iterations_ = minimum.iterations;
  model.converged_ = minimum.converged;
  return model;
}

int64_t SoftmaxRegression::correct(const ClassifiedFrames& frames) const {
  return SoftmaxObjective(frames, *this, 0).correct(point_);
}

}  // namespace retort
