#include "kmeans/passes.h"

#include <algorithm>

#include "base/signals.h"
#include "base/threads.h"
#include "kernels/exact_distance.h"
#include "kmeans/device_engines.h"
#include "kmeans/labeller.h"

namespace retort {
namespace {

// Labels by a labeller; then the frames that changed their clusters are read once more.
class HostPasses : public PassEngine {
 public:
  HostPasses(const FrameSource& source, const KmeansOptions& options, int64_t clusters,
             std::vector<float> reference)
      : source_(source),
        options_(options),
        labeller_(make_labeller(source, options)),
        labels_(static_cast<size_t>(source.frames()), -1),
        sums_(clusters, std::move(reference)) {}

  Clusters run(const Matrix& centroids, Progress& progress) override;
  const ClusterSums& sums() override { return sums_; }
  const std::vector<int32_t>& labels() override { return labels_; }

 private:
  const FrameSource& source_;
  const KmeansOptions& options_;
  std::unique_ptr<Labeller> labeller_;
  std::vector<int32_t> labels_;
  ClusterSums sums_;
};

Clusters HostPasses::run(const Matrix& centroids, Progress& progress) {
  labeller_->start(centroids);
  int64_t changed = 0;
  std::vector<int32_t> labels;
  const int64_t chunk_rows = source_.chunk_rows();
  for (int64_t first = 0; first < source_.frames(); first += chunk_rows) {
    throw_if_stopped();
    source_.begin_chunk(first);
    const auto begin = labels_.begin() + first;
    const int64_t count = std::min(chunk_rows, source_.frames() - first);
    labels.assign(begin, begin + count);
    labeller_->label(first, count, labels.data());
    std::vector<Move> moves;
    for (int64_t i = 0; i < count; ++i)
      if (begin[i] != labels[static_cast<size_t>(i)])
        moves.push_back({first + i, begin[i], labels[static_cast<size_t>(i)]});
    sums_.take(source_, moves, options_.threads);
    std::copy(labels.begin(), labels.end(), begin);
    changed += static_cast<int64_t>(moves.size());
    progress.advance(static_cast<double>(count));
  }
  Clusters clusters = sums_.about(centroids);
  clusters.changed = changed;
  return clusters;
}

std::unique_ptr<PassEngine> make_engine(const FrameSource& source, const KmeansOptions& options,
                                        int64_t clusters, const std::vector<float>& reference) {
  if (options.engine == "cuda") return device_engines.make_cuda_passes(source, options, clusters, reference);
  return std::make_unique<HostPasses>(source, options, clusters, reference);
}

}  // namespace

Passes::Passes(const FrameSource& source, const KmeansOptions& options, std::vector<float> reference)
    : source_(source), options_(options), reference_(std::move(reference)) {}

Clusters Passes::run(const Matrix& centroids, Progress& progress) {
  if (reference_.empty()) reference_ = CentredCentroids(centroids).mean;
  if (!engine_) engine_ = make_engine(source_, options_, centroids.rows(), reference_);
  Clusters clusters = engine_->run(centroids, progress);
  if (clusters.has_empty()) find_farthest(centroids, clusters);
  return clusters;
}

// A pass of its own, since only empty clusters ask for it.
void Passes::find_farthest(const Matrix& centroids, Clusters& clusters) const {
  const std::vector<int32_t>& labels = this->labels();
  constexpr int64_t block = 1024;
  const int64_t dim = source_.dim();
  std::vector<double> distances(static_cast<size_t>(source_.frames()));
  parallel_for(
      static_cast<size_t>((source_.frames() + block - 1) / block), options_.threads, [&](size_t index) {
        const int64_t first = static_cast<int64_t>(index) * block;
        const int64_t count = std::min(block, source_.frames() - first);
        std::vector<float> rows(static_cast<size_t>(count * dim));
        source_.read_rows(first, count, rows.data());
        for (int64_t i = 0; i < count; ++i)
          distances[static_cast<size_t>(first + i)] = squared_distance(
              rows.data() + i * dim, centroids.row(labels[static_cast<size_t>(first + i)]).data(), dim);
      });
  for (size_t row = 0; row < distances.size(); ++row)
    clusters.offer_farthest(labels[row], static_cast<int64_t>(row), distances[row]);
}

}  // namespace retort
