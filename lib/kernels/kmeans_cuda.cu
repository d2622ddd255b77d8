// Compiled without fused multiply-adds (CMakeLists.txt): f64 distances and the parts of sums must be those of
// the CPU. What may be fused says so.
#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/kmeans_cuda.h"

namespace retort::kmeans_cuda {
namespace {

using kmeans_kernels::move_threads;
using kmeans_kernels::MoveArgs;
using kmeans_kernels::prepare_threads;
using kmeans_kernels::PrepareArgs;
using kmeans_kernels::RoundArgs;
using kmeans_kernels::ScoreArgs;
using kmeans_kernels::ScoreTile;
using kmeans_kernels::Scoring;
using kmeans_kernels::settle_threads;
using kmeans_kernels::SettleArgs;
using kmeans_kernels::sum_threads;
using kmeans_kernels::SumArgs;

__global__ void __launch_bounds__(prepare_threads) prepare_kernel(PrepareArgs args) {
  kmeans_kernels::prepare_rows(args);
}

// Two blocks of the narrow tile on a multiprocessor hide each other's waits; the wide one has no room for a
// second, and marking candidates needs its registers.
template <int columns, Scoring scoring>
__global__ void __launch_bounds__(ScoreTile<columns>::threads,
                                  columns == 128 && scoring == Scoring::label ? 2 : 1)
    score_kernel(ScoreArgs args) {
  kmeans_kernels::score_tiles<ScoreTile<columns>, scoring>(args);
}

__global__ void __launch_bounds__(settle_threads) settle_kernel(SettleArgs args) {
  kmeans_kernels::settle(args);
}

__global__ void __launch_bounds__(move_threads) count_kernel(MoveArgs args) {
  kmeans_kernels::count_moves(args);
}

__global__ void __launch_bounds__(move_threads) segment_kernel(MoveArgs args) {
  kmeans_kernels::find_segments(args);
}

__global__ void __launch_bounds__(move_threads) place_kernel(MoveArgs args) {
  kmeans_kernels::place_moves(args);
}

__global__ void __launch_bounds__(sum_threads) add_kernel(SumArgs args) {
  kmeans_kernels::add_moves(args);
}

__global__ void __launch_bounds__(move_threads) round_kernel(RoundArgs args) {
  kmeans_kernels::round_sums(args);
}

Failure failure_of(cudaError_t status) {
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

// Of the launches before.
Failure launch_failure() {
  return failure_of(cudaGetLastError());
}

cudaStream_t stream_of(Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

// Blocks for `count` items, `each` to a block; kernels go round where these are not enough.
unsigned blocks_for(int64_t count, int64_t each) {
  constexpr int64_t most = int64_t{1} << 16;
  return static_cast<unsigned>(std::clamp<int64_t>((count + each - 1) / each, 1, most));
}

template <int columns, Scoring scoring>
Failure launch_scores(const ScoreArgs& args, Stream stream) {
  using Tile = ScoreTile<columns>;
  const auto kernel = score_kernel<columns, scoring>;
  if (const Failure failure = failure_of(
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::shared_bytes)))
    return failure;
  const auto blocks = static_cast<unsigned>((args.count + Tile::rows - 1) / Tile::rows);
  kernel<<<blocks, Tile::threads, Tile::shared_bytes, stream_of(stream)>>>(args);
  return launch_failure();
}

template <int columns>
Failure launch_scores(const ScoreArgs& args, Scoring scoring, Stream stream) {
  return scoring == Scoring::label ? launch_scores<columns, Scoring::label>(args, stream)
                                   : launch_scores<columns, Scoring::candidates>(args, stream);
}

}  // namespace

Failure prepare_rows(const PrepareArgs& args, Stream stream) {
  prepare_kernel<<<blocks_for(args.padded_count, prepare_threads / 8), prepare_threads, 0,
                   stream_of(stream)>>>(args);
  return launch_failure();
}

Failure score_tiles(const ScoreArgs& args, Scoring scoring, Stream stream) {
  return kmeans_kernels::tile_columns(args.clusters) == 128 ? launch_scores<128>(args, scoring, stream)
                                                            : launch_scores<256>(args, scoring, stream);
}

Failure settle(const SettleArgs& args, Stream stream) {
  settle_kernel<<<2048, settle_threads, 0, stream_of(stream)>>>(args);
  return launch_failure();
}

Failure sort_moves(const MoveArgs& args, Stream stream) {
  const unsigned blocks = blocks_for(args.count, move_threads);
  count_kernel<<<blocks, move_threads, 0, stream_of(stream)>>>(args);
  segment_kernel<<<1, move_threads, kmeans_kernels::segment_shared_bytes, stream_of(stream)>>>(args);
  place_kernel<<<blocks, move_threads, 0, stream_of(stream)>>>(args);
  return launch_failure();
}

Failure add_moves(const SumArgs& args, Stream stream) {
  const dim3 blocks(1024, static_cast<unsigned>((args.dim + sum_threads - 1) / sum_threads));
  add_kernel<<<blocks, sum_threads, 0, stream_of(stream)>>>(args);
  return launch_failure();
}

Failure round_sums(const RoundArgs& args, Stream stream) {
  round_kernel<<<blocks_for(args.clusters * args.dim, move_threads), move_threads, 0, stream_of(stream)>>>(
      args);
  return launch_failure();
}

Failure copy(void* to, const void* from, int64_t bytes, Stream stream) {
  return failure_of(
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream_of(stream)));
}

Failure fill(void* to, int byte, int64_t bytes, Stream stream) {
  return failure_of(cudaMemsetAsync(to, byte, static_cast<size_t>(bytes), stream_of(stream)));
}

Failure wait(Stream stream) {
  return failure_of(cudaStreamSynchronize(stream_of(stream)));
}

Failure use_gpu(int index) {
  return failure_of(cudaSetDevice(index));
}

Failure describe_gpu(int64_t& free_bytes, int& capability) {
  size_t free = 0, total = 0;
  int device = 0, major = 0, minor = 0;
  cudaError_t status = cudaMemGetInfo(&free, &total);
  if (status == cudaSuccess) status = cudaGetDevice(&device);
  if (status == cudaSuccess)
    status = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (status == cudaSuccess)
    status = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  free_bytes = static_cast<int64_t>(free);
  capability = 10 * major + minor;
  return failure_of(status);
}

}  // namespace retort::kmeans_cuda
