// Launches the kernels of kmeans_kernels.h on a GPU. Only in builds with CUDA.
#pragma once

#include <cstdint>

#include "kernels/kmeans_kernels.h"

namespace retort::kmeans_cuda {

// A cudaStream_t.
using Stream = void*;

// Null, or what CUDA says is wrong.
using Failure = const char*;

// Each queues its kernel on the stream. What goes wrong within a kernel shows later, at whatever waits for
// it.
Failure prepare_rows(const kmeans_kernels::PrepareArgs& args, Stream stream);
Failure score_tiles(const kmeans_kernels::ScoreArgs& args, kmeans_kernels::Scoring scoring, Stream stream);
Failure settle(const kmeans_kernels::SettleArgs& args, Stream stream);
Failure sort_moves(const kmeans_kernels::MoveArgs& args, Stream stream);
Failure add_moves(const kmeans_kernels::SumArgs& args, Stream stream);
Failure round_sums(const kmeans_kernels::RoundArgs& args, Stream stream);

// Queues a copy or a fill.
Failure copy(void* to, const void* from, int64_t bytes, Stream stream);
Failure fill(void* to, int byte, int64_t bytes, Stream stream);
// Waits for what was queued, and says whether any of it failed.
Failure wait(Stream stream);

// Makes what follows in this thread use this GPU.
Failure use_gpu(int index);

// Bytes of the current GPU that nobody uses, and its compute capability (80 for 8.0).
Failure describe_gpu(int64_t& free_bytes, int& capability);

}  // namespace retort::kmeans_cuda
