#include "kmeans/frame_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/log.h"
#include "base/threads.h"
#include "kmeans/candidates.h"
#include "kmeans/kmeans_device.h"
#include "kmeans/kmeans_init.h"
#include "kmeans/native_labeller.h"
#include "kmeans/plus_plus.h"
#include "nearest/native_search.h"

namespace retort {
namespace {

// Smaller blocks would make the switch from one to the next a part of the time, larger ones gain nothing.
constexpr int64_t least_block_rows = 4096;
constexpr int64_t most_block_rows = 65536;
constexpr int64_t most_block_bytes = int64_t{128} << 20;

std::string in_mebibytes(int64_t bytes) {
  return fmt::format("{} MiB", (bytes + (1 << 20) - 1) >> 20);
}

// What bounds between passes take.
int64_t bytes_of_bounds(int64_t frames, const KmeansOptions& options) {
  if (options.exhaustive || options.engine != "native") return 0;
  return frames * NativeLabeller::bytes_per_frame(options.clusters);
}

// What choosing the first centroids takes.
int64_t bytes_of_start(int64_t frames, int64_t dim, const KmeansOptions& options) {
  const int64_t row_bytes = dim * 4;
  const int64_t chosen = options.clusters * row_bytes;
  const int64_t wanted = init_frames(frames, options);
  if (options.init == "kmeans++") return chosen + wanted * (row_bytes + PlusPlus::bytes_per_row);
  if (options.init == "kmeans-parallel")
    return chosen + (wanted == frames ? 0 : wanted * row_bytes) + bytes_of_candidates(wanted, dim, options);
  return chosen + std::min(frames, 2 * options.clusters) * row_bytes;
}

// What passes take besides frames and bounds: of each value of a centroid its forms in f32 and bf16, before
// and after an iteration, three doubles of exact sums and the sum that they make; what exact sums hold of a
// cluster; labels, with those of the result, or distances where an empty cluster looks for a frame.
int64_t bytes_of_passes(int64_t frames, int64_t dim, const KmeansOptions& options) {
  constexpr int64_t of_centroid_value = 80, of_cluster = 1200;
  constexpr int64_t of_frame = sizeof(int32_t) + sizeof(double);
  const int64_t threads = options.threads > 0 ? options.threads : available_threads();
  const int64_t batch =
      options.mini_batch * dim * 4 + (options.mini_batch > 0 ? 8 * options.clusters * dim : 0);
  const int64_t best_start = options.starts > 1 ? frames * 4 + options.clusters * dim * 4 : 0;
  return options.clusters * (dim * of_centroid_value + of_cluster) + frames * of_frame + batch + best_start +
         threads * NativeSearch::bytes(options.clusters, dim);
}

// What a job takes besides its frames: the start, or the passes after it.
int64_t bytes_beside_frames(int64_t frames, int64_t dim, const KmeansOptions& options) {
  constexpr int64_t of_chunks = int64_t{16} << 20;  // labels and moves of a chunk, and what else is small
  const int64_t copied = options.engine == "faiss"  ? frames * dim * 4
                         : options.engine == "cuda" ? 2 * KmeansDevice::staging_bytes
                                                    : 0;
  const int64_t passes = bytes_of_passes(frames, dim, options) + bytes_of_bounds(frames, options);
  return copied + of_chunks + std::max(passes, bytes_of_start(frames, dim, options));
}

// Does without bounds where they do not fit: `held` bytes are taken besides.
void fit_bounds(int64_t held, int64_t frames, int64_t dim, KmeansOptions& options) {
  if (held + bytes_beside_frames(frames, dim, options) > options.memory) options.exhaustive = true;
}

}  // namespace

HeldFrames::HeldFrames(const FrameSource& source)
    : ForwardedFrames(source), rows_(source.frames(), source.dim()) {
  constexpr int64_t block = 2048;
  for (int64_t first = 0; first < frames(); first += block)
    source.read_rows(first, std::min(block, frames() - first), rows_.row(first).data());
}

void HeldFrames::read_rows(int64_t first, int64_t count, float* out) const {
  std::copy_n(rows_.data() + first * dim(), count * dim(), out);
}

StreamedFrames::StreamedFrames(const FrameSource& source, int64_t block_rows)
    : ForwardedFrames(source), block_rows_(std::min(block_rows, source.frames())) {
  for (Block* block : {&current_, &next_}) block->rows.resize(static_cast<std::size_t>(block_rows_ * dim()));
}

void StreamedFrames::begin_chunk(int64_t first) const {
  const int64_t wanted = first / block_rows_;
  if (current_.index == wanted) return;
  if (loading_.valid()) loading_.get();
  if (next_.index != wanted) {
    next_.index = wanted;
    load(next_);
  }
  std::swap(current_, next_);
  const int64_t blocks = (frames() + block_rows_ - 1) / block_rows_;
  next_.index = (wanted + 1) % blocks;
  if (blocks > 1) loading_ = std::async(std::launch::async, [this] { load(next_); });
}

void StreamedFrames::load(Block& block) const {
  const int64_t first = block.index * block_rows_;
  source_.read_rows(first, std::min(block_rows_, frames() - first), block.rows.data());
}

const float* StreamedFrames::rows_in_place(int64_t first, int64_t count) const {
  const int64_t begin = current_.index * block_rows_;
  const bool held = current_.index >= 0 && first >= begin && first + count <= begin + block_rows_;
  return held ? current_.rows.data() + (first - begin) * dim() : nullptr;
}

void StreamedFrames::read_rows(int64_t first, int64_t count, float* out) const {
  if (const float* rows = rows_in_place(first, count))
    std::copy_n(rows, count * dim(), out);
  else
    source_.read_rows(first, count, out);
}

std::unique_ptr<FrameSource> fit_in_memory(const FrameSource& source, KmeansOptions& options) {
  if (options.memory == 0) return std::make_unique<ForwardedFrames>(source);
  if (source.in_memory()) {
    fit_bounds(resident_bytes(), source.frames(), source.dim(), options);
    const int64_t needed = resident_bytes() + bytes_beside_frames(source.frames(), source.dim(), options);
    if (needed > options.memory)
      fail("--memory: {} is too little for these frames, which are held, and clusters; {} are needed",
           in_mebibytes(options.memory), in_mebibytes(needed));
    return std::make_unique<ForwardedFrames>(source);
  }
  const int64_t row_bytes = source.dim() * static_cast<int64_t>(sizeof(float));
  const int64_t all = source.frames() * row_bytes;
  const auto left_for_frames = [&] {
    return options.memory - resident_bytes() - bytes_beside_frames(source.frames(), source.dim(), options);
  };
  if (left_for_frames() >= all) return std::make_unique<HeldFrames>(source);
  if (left_for_frames() < 2 * least_block_rows * row_bytes) options.exhaustive = true;
  const int64_t left = left_for_frames();
  const int64_t rest = options.memory - left;
  const int64_t block_rows = std::min({left / 2 / row_bytes, most_block_bytes / row_bytes, most_block_rows});
  if (block_rows < least_block_rows)
    fail("--memory: {} is too little for these frames and clusters; at least {} are needed",
         in_mebibytes(options.memory), in_mebibytes(rest + std::min(all, 2 * least_block_rows * row_bytes)));
  log_info("kmeans", "{} frames are streamed in blocks of {}; {} would hold them all", source.frames(),
           block_rows, in_mebibytes(rest + all));
  return std::make_unique<StreamedFrames>(source, block_rows);
}

void require_memory_for(int64_t frames, int64_t dim, KmeansOptions& options) {
  if (options.memory == 0) return;
  const int64_t held = resident_bytes() + frames * dim * 4;
  fit_bounds(held, frames, dim, options);
  const int64_t needed = held + bytes_beside_frames(frames, dim, options);
  if (needed > options.memory)
    fail("--memory: {} is too little to hold {} frames; {} are needed, or fewer frames (points per centroid)",
         in_mebibytes(options.memory), frames, in_mebibytes(needed));
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t virtual_pages = 0, resident_pages = 0;
  file >> virtual_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

}  // namespace retort
