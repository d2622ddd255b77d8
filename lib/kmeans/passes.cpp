#include "kmeans/passes.h"

#include <algorithm>

#include "base/signals.h"
#include "base/threads.h"
#include "kmeans/exact_distance.h"
#include "kmeans/kmeans_init.h"

namespace retort {
namespace {

// Rows in memory at a time; no result depends on it.
constexpr int64_t chunk_rows = 8192;

}  // namespace

Passes::Passes(const FrameSource& source, const KmeansOptions& options)
    : source_(source),
      options_(options),
      labels_(static_cast<size_t>(source.frames()), -1),
      rows_(std::min(chunk_rows, source.frames()), source.dim()),
      new_labels_(static_cast<size_t>(rows_.rows())),
      distances_(static_cast<size_t>(rows_.rows())) {}

Clusters Passes::run(const Matrix& centroids, bool with_sums, Progress& progress) {
  Clusters clusters(centroids.rows(), centroids.columns());
  const auto assigner = make_assigner(centroids, options_.engine, options_.device, options_.threads);
  for (int64_t first = 0; first < source_.frames(); first += chunk_rows) {
    throw_if_stopped();
    const int64_t count = std::min(chunk_rows, source_.frames() - first);
    read(first, count);
    assigner->assign(rows_.data(), count, new_labels_.data(), distances_.data());
    take_labels(first, count, clusters);
    if (with_sums) add_up(count, clusters);
    progress.advance(static_cast<double>(count));
  }
  return clusters;
}

void Passes::read(int64_t first, int64_t count) {
  constexpr int64_t task = 512;
  parallel_for(static_cast<size_t>((count + task - 1) / task), options_.threads, [&](size_t index) {
    const int64_t begin = static_cast<int64_t>(index) * task;
    read_finite_rows(source_, first + begin, std::min(task, count - begin), rows_.row(begin).data());
  });
}

void Passes::take_labels(int64_t first, int64_t count, Clusters& clusters) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t label = new_labels_[static_cast<size_t>(i)];
    int32_t& remembered = labels_[static_cast<size_t>(first + i)];
    clusters.changed += remembered != label;
    remembered = label;
    clusters.count(first + i, label, distances_[static_cast<size_t>(i)]);
  }
}

// Each thread adds up its own dimensions, all of them in the order of the frames: no sum depends on the
// threads.
void Passes::add_up(int64_t count, Clusters& clusters) {
  const int64_t dim = source_.dim();
  const auto slices = static_cast<int64_t>(options_.threads);
  parallel_for(static_cast<size_t>(slices), options_.threads, [&](size_t index) {
    const auto slice = static_cast<int64_t>(index);
    const int64_t begin = dim * slice / slices;
    const int64_t end = dim * (slice + 1) / slices;
    for (int64_t i = 0; i < count; ++i)
      add_row(rows_.row(i).data(), begin, end,
              clusters.sums.data() + new_labels_[static_cast<size_t>(i)] * dim);
  });
}

}  // namespace retort
