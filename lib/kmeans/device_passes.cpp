#include "kmeans/device_passes.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/threads.h"
#include "kmeans/kmeans_init.h"

namespace retort {
namespace {

using kmeans_kernels::MoveArgs;
using kmeans_kernels::PrepareArgs;
using kmeans_kernels::ScoreArgs;
using kmeans_kernels::Scoring;

// Memory that LibTorch, the driver and other users of the GPU may want.
constexpr int64_t spared_bytes = int64_t{512} << 20;

int64_t budget_of(const KmeansOptions& options, const KmeansDevice& device) {
  const int64_t free = device.free_bytes();
  if (options.gpu_memory == 0) return std::max<int64_t>(free - spared_bytes, 0);
  if (options.gpu_memory > free)
    fail("--gpu-memory: {} MiB are not free on this device, {} MiB are", options.gpu_memory >> 20,
         free >> 20);
  return options.gpu_memory;
}

// The rows of `frames` from `first` on.
DeviceFrames frames_from(const DeviceFrames& frames, const DeviceShape& shape, int64_t first) {
  return {frames.rows + first * shape.dim,
          frames.rounded + first * shape.padded_dim(),
          frames.lengths + first,
          frames.roundings + first,
          frames.plans + first,
          frames.squares + first};
}

}  // namespace

DevicePasses::DevicePasses(const FrameSource& source, const KmeansOptions& options, int64_t clusters,
                           std::vector<float> reference, std::unique_ptr<KmeansDevice> device,
                           const SliceLimits& limits)
    : source_(source),
      options_(options),
      reference_(std::move(reference)),
      device_(std::move(device)),
      shape_{source.frames(), source.dim(), clusters},
      plan_(plan_device_memory(shape_, budget_of(options, *device_), limits)),
      memory_(lay_out(shape_, plan_, device_->reserve(plan_.bytes))),
      staged_rows_(std::max<int64_t>(
          KmeansDevice::staging_bytes / (shape_.dim * static_cast<int64_t>(sizeof(float))), 1)) {
  if (shape_.dim * static_cast<int64_t>(sizeof(float)) > KmeansDevice::staging_bytes)
    fail("frames of {} values are too long for a GPU; use --device cpu", shape_.dim);
  if (plan_.streams(shape_))
    log_info("kmeans", "{} of {} frames stay on the GPU, the others pass through it {} at a time",
             plan_.resident_rows, shape_.frames, plan_.slice_rows);
  // Sums and counts lie one after the other, from bins to leaving.
  device_->fill(memory_.bins, 0,
                reinterpret_cast<char*>(memory_.sums) - reinterpret_cast<char*>(memory_.bins));
  device_->fill(memory_.labels, 0xff, shape_.frames * static_cast<int64_t>(sizeof(int32_t)));
  device_->upload(memory_.reference, reference_.data(), shape_.dim * static_cast<int64_t>(sizeof(float)));
}

DevicePasses::~DevicePasses() = default;

Clusters DevicePasses::run(const Matrix& centroids, Progress& progress) {
  sums_.reset();
  labels_.clear();
  set_centroids(centroids);
  for (int64_t first = 0; first < shape_.frames; first += plan_.slice_rows) {
    throw_if_stopped();
    const int64_t count = std::min(plan_.slice_rows, shape_.frames - first);
    const DeviceFrames frames = bring(first / plan_.slice_rows);
    label(frames, count);
    add_up(frames, first, count);
    if (first >= plan_.resident_rows) device_->release(static_cast<int>(first / plan_.slice_rows % 2));
    progress.advance(static_cast<double>(count));
  }
  device_->round_sums({memory_.bins, shape_.clusters, static_cast<int>(shape_.dim), memory_.sums});
  first_pass_ = false;
  return clusters_about(centroids);
}

void DevicePasses::set_centroids(const Matrix& centroids) {
  device_->upload(memory_.centroids, centroids.data(), static_cast<int64_t>(centroids.values().size_bytes()));
  device_->fill(memory_.largest, 0, 2 * sizeof(int));
  device_->fill(memory_.changed, 0, sizeof(int64_t));
  PrepareArgs args{};
  args.rows = memory_.centroids;
  args.count = shape_.clusters;
  args.padded_count = shape_.padded_clusters();
  args.dim = static_cast<int>(shape_.dim);
  args.padded_dim = static_cast<int>(shape_.padded_dim());
  args.reference = memory_.reference;
  args.rounded = memory_.weights;
  args.lengths = memory_.lengths;
  args.roundings = memory_.roundings;
  args.norms = memory_.norms;
  args.largest = memory_.largest;
  device_->prepare_rows(args);
}

// The frames of a slice, copied and prepared where they are not on the device yet.
DeviceFrames DevicePasses::bring(int64_t slice) {
  const int64_t first = slice * plan_.slice_rows;
  const int64_t count = std::min(plan_.slice_rows, shape_.frames - first);
  const bool stays = first < plan_.resident_rows;
  const auto buffer = static_cast<int>(slice % 2);
  const DeviceFrames frames = stays ? frames_from(memory_.resident, shape_, first) : memory_.buffers[buffer];
  if (stays && !first_pass_) return frames;
  if (!stays) device_->wait_for_release(buffer);
  send_rows(first, count, frames.rows);
  device_->wait_for_sent();
  prepare(frames, count);
  return frames;
}

void DevicePasses::send_rows(int64_t first, int64_t count, float* to) {
  const int64_t chunk_rows = source_.chunk_rows();
  for (int64_t row = first; row < first + count;) {
    if (row / chunk_rows != chunk_) {
      chunk_ = row / chunk_rows;
      source_.begin_chunk(chunk_ * chunk_rows);
    }
    const int64_t here = std::min({first + count, (chunk_ + 1) * chunk_rows, row + staged_rows_}) - row;
    auto* staged = static_cast<float*>(device_->staging(slot_));
    read_rows(row, here, staged);
    device_->send(slot_, to + (row - first) * shape_.dim,
                  here * shape_.dim * static_cast<int64_t>(sizeof(float)));
    slot_ = 1 - slot_;
    row += here;
  }
}

void DevicePasses::read_rows(int64_t first, int64_t count, float* to) const {
  constexpr int64_t task = 512;
  parallel_for(static_cast<size_t>((count + task - 1) / task), options_.threads, [&](size_t index) {
    const int64_t begin = static_cast<int64_t>(index) * task;
    const int64_t here = std::min(task, count - begin);
    float* rows = to + begin * shape_.dim;
    first_pass_ ? read_finite_rows(source_, first + begin, here, rows)
                : source_.read_rows(first + begin, here, rows);
  });
}

void DevicePasses::prepare(const DeviceFrames& frames, int64_t count) {
  PrepareArgs args{};
  args.rows = frames.rows;
  args.count = args.padded_count = count;
  args.dim = static_cast<int>(shape_.dim);
  args.padded_dim = static_cast<int>(shape_.padded_dim());
  args.reference = memory_.reference;
  args.rounded = frames.rounded;
  args.lengths = frames.lengths;
  args.roundings = frames.roundings;
  args.plans = frames.plans;
  args.squares = frames.squares;
  device_->prepare_rows(args);
}

void DevicePasses::label(const DeviceFrames& frames, int64_t count) {
  device_->fill(memory_.doubtful_count, 0, sizeof(int));
  ScoreArgs scores{};
  scores.rows = frames.rounded;
  scores.lengths = frames.lengths;
  scores.roundings = frames.roundings;
  scores.count = count;
  scores.weights = memory_.weights;
  scores.norms = memory_.norms;
  scores.largest = memory_.largest;
  scores.clusters = static_cast<int>(shape_.clusters);
  scores.padded_clusters = static_cast<int>(shape_.padded_clusters());
  scores.padded_dim = static_cast<int>(shape_.padded_dim());
  scores.error_factor = kmeans_kernels::tensor_error_factor(shape_.padded_dim());
  scores.labels = memory_.new_labels;
  scores.doubtful = memory_.doubtful;
  scores.limits = memory_.limits;
  scores.doubtful_count = memory_.doubtful_count;
  scores.masks = memory_.masks;
  device_->score_tiles(scores, Scoring::label);
  device_->score_tiles(scores, Scoring::candidates);
  device_->settle({frames.rows, memory_.centroids, static_cast<int>(shape_.dim), scores.clusters,
                   scores.padded_clusters, memory_.doubtful, memory_.doubtful_count, memory_.masks,
                   memory_.new_labels});
}

void DevicePasses::add_up(const DeviceFrames& frames, int64_t first, int64_t count) {
  MoveArgs moves{};
  moves.count = count;
  moves.labels = memory_.new_labels;
  moves.before = memory_.labels + first;
  moves.squares = frames.squares;
  moves.clusters = static_cast<int>(shape_.clusters);
  moves.entering = memory_.entering;
  moves.leaving = memory_.leaving;
  moves.begins = memory_.begins;
  moves.chunk_begins = memory_.chunk_begins;
  moves.cursors = memory_.cursors;
  moves.moves = memory_.moves;
  moves.sizes = memory_.sizes;
  moves.digits = memory_.digits;
  moves.changed = memory_.changed;
  device_->sort_moves(moves);
  device_->add_moves({frames.rows, frames.plans, static_cast<int>(shape_.dim), moves.clusters, memory_.begins,
                      memory_.chunk_begins, memory_.moves, memory_.bins});
}

template <class T>
std::vector<T> DevicePasses::fetch(const T* from, int64_t count) const {
  std::vector<T> values(static_cast<size_t>(count));
  device_->download(values.data(), from, count * static_cast<int64_t>(sizeof(T)));
  return values;
}

std::vector<double> DevicePasses::squares() const {
  const std::vector<int64_t> digits = fetch(memory_.digits, shape_.clusters * sum_digits);
  std::string bytes;
  append_values(digits, bytes);
  std::string_view left = bytes;
  std::vector<double> rounded;
  for (int64_t k = 0; k < shape_.clusters; ++k) {
    ExactSum sum;
    sum.read(left, "sums of squares");
    rounded.push_back(sum.rounded());
  }
  return rounded;
}

Clusters DevicePasses::clusters_about(const Matrix& centroids) {
  Clusters clusters(shape_.clusters, shape_.dim);
  clusters.sums = fetch(memory_.sums, shape_.clusters * shape_.dim);
  clusters.sizes = fetch(memory_.sizes, shape_.clusters);
  clusters.changed = fetch(memory_.changed, 1).front();
  for (const int64_t size : clusters.sizes) check_cluster_size(size);
  measure_spread(centroids, reference_, squares(), clusters);
  return clusters;
}

// In the form that they are written in.
const ClusterSums& DevicePasses::sums() {
  if (sums_) return *sums_;
  const std::vector<int64_t> bins = fetch(memory_.bins, shape_.clusters * sum_bins * shape_.dim);
  const std::vector<int64_t> digits = fetch(memory_.digits, shape_.clusters * sum_digits);
  const std::vector<int64_t> sizes = fetch(memory_.sizes, shape_.clusters);
  std::string bytes;
  std::vector<double> values(static_cast<size_t>(shape_.dim));
  for (size_t k = 0; k < sizes.size(); ++k) {
    for (int b = 0; b < sum_bins; ++b) {
      const int64_t* multiples = bins.data() + (static_cast<int64_t>(k) * sum_bins + b) * shape_.dim;
      const bool used =
          std::any_of(multiples, multiples + shape_.dim, [](int64_t value) { return value != 0; });
      bytes.push_back(used ? 1 : 0);
      if (!used) continue;
      for (size_t j = 0; j < values.size(); ++j)
        values[j] = static_cast<double>(multiples[j]) * power_of_two(sum_bin_exponent(b + lowest_sum_bin));
      append_values(values, bytes);
    }
    const int64_t* of_cluster = digits.data() + k * sum_digits;
    append_values(std::vector<int64_t>(of_cluster, of_cluster + sum_digits), bytes);
    append_values(std::vector<int64_t>{sizes[k]}, bytes);
  }
  sums_ = std::make_unique<ClusterSums>(shape_.clusters, reference_);
  std::string_view left = bytes;
  sums_->read(left, "sums of the GPU");
  return *sums_;
}

const std::vector<int32_t>& DevicePasses::labels() {
  if (labels_.empty()) labels_ = fetch(memory_.labels, shape_.frames);
  return labels_;
}

}  // namespace retort
