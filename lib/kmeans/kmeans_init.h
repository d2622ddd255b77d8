// Initial centroids.
#pragma once

#include <cstdint>
#include <vector>

#include "base/matrix.h"
#include "kmeans/kmeans.h"
#include "kmeans/shared_frames.h"

namespace retort {

// How many of a source's frames a start by kmeans++ or kmeans-parallel looks at.
int64_t init_frames(int64_t frames, const KmeansOptions& options);

// `count` different rows of [0, total), ascending, each set as likely as any other (Knuth's selection
// sampling).
std::vector<int64_t> sample_rows(int64_t total, int64_t count, uint64_t seed);

// The order in which frames are drawn for training: those with the lowest keys are, whatever their number and
// in whichever order they come by.
uint64_t training_key(uint64_t seed, int64_t row);

// The `count` rows of [0, total) with the lowest keys, ascending.
std::vector<int64_t> sample_training_rows(int64_t total, int64_t count, uint64_t seed);

// The rows of [0, total) in mini-batch `batch`, ascending: `count` draws, each of any row.
std::vector<int64_t> batch_rows(int64_t total, int64_t count, uint64_t seed, int64_t batch);

// Copies rows (ascending indices) into memory; an Error names a row that is not finite.
Matrix gather_rows(const FrameSource& source, const std::vector<int64_t>& rows, int threads = 1);

// Reads rows; an Error names the first that is not finite.
void read_finite_rows(const FrameSource& source, int64_t first, int64_t count, float* out);

// The same from several threads.
void read_finite_rows(const FrameSource& source, int64_t first, int64_t count, float* out, int threads);

// The same check of rows that are there already.
void check_finite_rows(const FrameSource& source, int64_t first, int64_t count, const float* rows);

// K pairwise different starting points as options.init says. An Error where the source does not hold that
// many. Where several processes share the frames, each draws the same ones.
Matrix initial_centroids(const SharedFrames& frames, const KmeansOptions& options);

}  // namespace retort
