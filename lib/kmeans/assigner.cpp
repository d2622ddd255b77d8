// Exact labels from an engine's search: what it is not sure of is settled in f64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/threads.h"
#include "kmeans/exact_distance.h"
#include "kmeans/kmeans.h"
#include "kmeans/packed_centroids.h"

namespace retort {
namespace {

// Above this, scores may overflow and say nothing.
constexpr double largest_square = 1e37;

class ExactAssigner : public Assigner {
 public:
  ExactAssigner(const Matrix& centroids, const std::string& engine, const std::string& device, int threads)
      : centroids_(centroids),
        centred_(centroids),
        packed_(centred_),
        threads_(threads > 0 ? threads : available_threads()) {
    search_ = make_search(resolve_kmeans_engine(engine == "faiss" ? "auto" : engine, device), device);
    error_factor_ = std::max(search_->error_factor(), f32_error_factor(centroids.columns()));
  }

  void assign(const float* rows, int64_t count, int32_t* labels, double* distances) override {
    nearest_.resize(static_cast<size_t>(count));
    search_->search(rows, count, nearest_.data());
    constexpr int64_t task = 256;
    parallel_for(static_cast<size_t>((count + task - 1) / task), threads_, [&](size_t index) {
      std::vector<float> scores;
      const int64_t first = static_cast<int64_t>(index) * task;
      for (int64_t i = first; i < std::min(first + task, count); ++i) {
        const Decision decision =
            decide(rows + i * centroids_.columns(), nearest_[static_cast<size_t>(i)], scores);
        labels[i] = decision.label;
        if (distances) distances[i] = decision.distance;
      }
    });
  }

 private:
  struct Decision {
    int32_t label;
    double distance;
  };

  std::unique_ptr<NearestSearch> make_search(const std::string& engine, const std::string& device) const {
#ifdef RETORT_WITH_TORCH
    if (engine == "torch") return make_torch_search(centred_, device, threads_);
#endif
    static_cast<void>(device);
    static_cast<void>(engine);
    return make_plain_search(packed_, threads_);
  }

  double distance_to(const float* row, int64_t label) const {
    return squared_distance(row, centroids_.row(label).data(), centroids_.columns());
  }

  Decision decide(const float* row, const Nearest& nearest, std::vector<float>& scores) const {
    const double distance = distance_to(row, nearest.label);
    // The centred row is no longer than its distance to a centroid and that centroid's norm together.
    const double row_norm = std::sqrt(distance) + centred_.largest_norm;
    const double magnitude = centred_.largest_norm * (centred_.largest_norm + 2 * row_norm);
    const double doubt = 2 * error_factor_ * magnitude;
    if (magnitude<largest_square&& static_cast<double>(nearest.lead)> doubt) return {nearest.label, distance};
    return settle(row, magnitude < largest_square ? doubt : std::numeric_limits<double>::infinity(), scores);
  }

  // The exact decision among the centroids whose scores are within `doubt` of the lowest.
  Decision settle(const float* row, double doubt, std::vector<float>& scores) const {
    scores.resize(static_cast<size_t>(packed_.padded_clusters()));
    packed_.scores(row, scores.data());
    const auto last = scores.begin() + centroids_.rows();
    const double limit = static_cast<double>(*std::min_element(scores.begin(), last)) + doubt;
    Decision best{-1, std::numeric_limits<double>::infinity()};
    for (int64_t k = 0; k < centroids_.rows(); ++k) {
      if (static_cast<double>(scores[static_cast<size_t>(k)]) > limit) continue;
      const double distance = distance_to(row, k);
      if (best.label < 0 || distance < best.distance) best = {static_cast<int32_t>(k), distance};
    }
    return best;
  }

  const Matrix centroids_;
  const CentredCentroids centred_;
  const PackedCentroids packed_;
  const int threads_;
  std::unique_ptr<NearestSearch> search_;
  double error_factor_ = 0;
  std::vector<Nearest> nearest_;
};

bool wants_cuda(const std::string& device) {
  return device.starts_with("cuda");
}

}  // namespace

std::string resolve_kmeans_engine(const std::string& engine, const std::string& device) {
  std::string resolved = engine;
#ifdef RETORT_WITH_TORCH
  if (engine == "auto") resolved = "torch";
#else
  if (engine == "auto") resolved = "plain";
  if (engine == "torch" || wants_cuda(device))
    fail_usage("engine {} on {}: this build has no LibTorch; use --engine plain --device cpu", engine,
               device);
#endif
#ifndef RETORT_WITH_FAISS
  if (engine == "faiss") fail_usage("engine faiss: this build has no FAISS; use --engine auto");
#endif
  if (resolved != "torch" && resolved != "faiss" && resolved != "plain")
    fail_usage("engine {}: should be auto, torch, faiss or plain", engine);
  if (resolved != "torch" && wants_cuda(device))
    fail_usage("engine {} runs on the cpu only; use --engine torch for {}", engine, device);
  return resolved;
}

std::unique_ptr<Assigner> make_assigner(const Matrix& centroids, const std::string& engine,
                                        const std::string& device, int threads) {
  if (centroids.rows() < 1 || centroids.columns() < 1) fail("a codebook needs at least one centroid");
  return std::make_unique<ExactAssigner>(centroids, engine, device, threads);
}

}  // namespace retort
