#include "kmeans/native_labeller.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/threads.h"
#include "kernels/exact_distance.h"
#include "kmeans/kmeans_init.h"
#include "nearest/centroid_groups.h"

namespace retort {
namespace {

// Floats in a frame's row of lowers.
int64_t stride_of(int64_t clusters) {
  return lowers_stride((clusters + panel_width - 1) / panel_width);
}

}  // namespace

// Gathers the frames of a task that bounds alone do not settle into full blocks.
class NativeLabeller::Worker {
 public:
  explicit Worker(NativeLabeller& owner)
      : owner_(owner),
        search_(*owner.centroids_),
        dim_(owner.source_.dim()),
        rows_(static_cast<size_t>(NativeSearch::block_rows * dim_)),
        pointers_(NativeSearch::block_rows) {}

  void label(int64_t first, int64_t count, int32_t* labels) {
    for (int64_t i = 0; i < count; ++i) {
      FrameBounds bounds = bounds_of(first + i, labels[i]);
      if (is_settled(bounds, first + i)) continue;
      frames_.push_back(first + i);
      bounds_.push_back(bounds);
      if (frames_.size() == NativeSearch::block_rows) search(first, labels);
    }
    search(first, labels);
  }

 private:
  FrameBounds bounds_of(int64_t frame, int32_t label) const {
    FrameBounds bounds;
    bounds.label = label;
    if (owner_.options_.exhaustive) return bounds;
    bounds.lowers = owner_.lowers_.data() + frame * owner_.stride_;
    return bounds;
  }

  // Moves the bounds on by how far centroids moved.
  bool is_settled(FrameBounds& bounds, int64_t frame) const {
    if (!bounds.lowers || bounds.label < 0) return false;
    bounds.least = shift_lowers(bounds.lowers, owner_.panel_drifts_.data(), owner_.stride_);
    float& upper = owner_.uppers_[static_cast<size_t>(frame)];
    upper = (upper + owner_.drifts_[static_cast<size_t>(bounds.label)]) * (1 + 0x1.0p-22f);
    bounds.upper = upper;
    return upper < bounds.least;
  }

  void search(int64_t first, int32_t* labels) {
    if (frames_.empty()) return;
    for (size_t begin = 0; begin < frames_.size();) {
      size_t end = begin + 1;
      while (end < frames_.size() && frames_[end] == frames_[end - 1] + 1) ++end;
      find_rows(begin, end);
      begin = end;
    }
    search_.search(pointers_.data(), static_cast<int64_t>(frames_.size()), bounds_.data());
    for (size_t i = 0; i < frames_.size(); ++i) {
      labels[frames_[i] - first] = bounds_[i].label;
      if (bounds_[i].lowers) owner_.uppers_[static_cast<size_t>(frames_[i])] = bounds_[i].upper;
    }
    frames_.clear();
    bounds_.clear();
  }

  // Frames begin to end of the block follow each other in the source.
  void find_rows(size_t begin, size_t end) {
    const int64_t first = frames_[begin];
    const auto count = static_cast<int64_t>(end - begin);
    const float* rows = owner_.source_.rows_in_place(first, count);
    if (!rows) {
      float* copy = rows_.data() + static_cast<int64_t>(begin) * dim_;
      owner_.source_.read_rows(first, count, copy);
      rows = copy;
    }
    // Only the first pass finds frames without a label.
    if (bounds_[begin].label < 0) check_finite_rows(owner_.source_, first, count, rows);
    for (size_t i = begin; i < end; ++i) pointers_[i] = rows + static_cast<int64_t>(i - begin) * dim_;
  }

  NativeLabeller& owner_;
  NativeSearch search_;
  int64_t dim_;
  std::vector<float> rows_;  // of a block, where the source has to copy them
  std::vector<const float*> pointers_;
  std::vector<int64_t> frames_;
  std::vector<FrameBounds> bounds_;
};

NativeLabeller::NativeLabeller(const FrameSource& source, const KmeansOptions& options)
    : source_(source),
      options_(options),
      kernels_(score_kernels(cpu_path())),
      workers_([this] { return std::make_unique<Worker>(*this); }) {}

NativeLabeller::~NativeLabeller() = default;

int64_t NativeLabeller::bytes_per_frame(int64_t clusters) {
  return static_cast<int64_t>(sizeof(float)) * (1 + stride_of(clusters));
}

void NativeLabeller::start(const Matrix& centroids) {
  workers_.clear();
  if (!centroids_)
    start_bounds(centroids);
  else
    measure_drifts(centroids_->centroids(), centroids);
  centroids_ = std::make_unique<PanelledCentroids>(centroids, order_, kernels_);
}

void NativeLabeller::start_bounds(const Matrix& centroids) {
  order_ = group_centroids(centroids, panel_width);
  if (options_.exhaustive) return;
  stride_ = stride_of(centroids.rows());
  drifts_.resize(static_cast<size_t>(centroids.rows()));
  panel_drifts_.resize(static_cast<size_t>(stride_));
  uppers_.assign(static_cast<size_t>(source_.frames()), std::numeric_limits<float>::infinity());
  lowers_.resize(static_cast<size_t>(source_.frames() * stride_), std::numeric_limits<float>::max());
}

void NativeLabeller::measure_drifts(const Matrix& before, const Matrix& after) {
  if (options_.exhaustive) return;
  std::fill(panel_drifts_.begin(), panel_drifts_.end(), 0.0f);
  for (int32_t k = 0; k < after.rows(); ++k) {
    const double moved =
        std::sqrt(squared_distance(before.row(k).data(), after.row(k).data(), after.columns()));
    float& drift = drifts_[static_cast<size_t>(k)];
    drift = static_cast<float>(moved * (1 + 0x1.0p-20));
    float& of_panel = panel_drifts_[static_cast<size_t>(centroids_->panel_of(k))];
    of_panel = std::max(of_panel, drift);
  }
}

void NativeLabeller::label(int64_t first, int64_t count, int32_t* labels) {
  constexpr int64_t task = 1536;
  parallel_for(static_cast<size_t>((count + task - 1) / task), options_.threads, [&](size_t index) {
    const int64_t begin = static_cast<int64_t>(index) * task;
    workers_.use(
        [&](Worker& worker) { worker.label(first + begin, std::min(task, count - begin), labels + begin); });
  });
}

}  // namespace retort
