// Frames under a budget of memory: all of them held, or streamed from their files in every pass.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "kmeans/frame_sources.h"

namespace retort {

// All rows of a source, copied into memory.
class HeldFrames : public ForwardedFrames {
 public:
  explicit HeldFrames(const FrameSource& source);

  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t) const override { return rows_.row(first).data(); }

 private:
  Matrix rows_;
};

// A source read ahead of its use: while a pass works on one block of rows, the next one is read into a second
// buffer, and the first one again after the last. Rows of other blocks are read from the source by
// themselves.
class StreamedFrames : public ForwardedFrames {
 public:
  // Holds two blocks of `block_rows` rows.
  StreamedFrames(const FrameSource& source, int64_t block_rows);

  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t count) const override;
  int64_t chunk_rows() const override { return block_rows_; }
  void begin_chunk(int64_t first) const override;

 private:
  struct Block {
    int64_t index = -1;
    std::vector<float> rows;
  };

  void load(Block& block) const;

  const int64_t block_rows_;
  mutable Block current_, next_;
  mutable std::future<void> loading_;  // of next_; last, so that it ends before the blocks do
};

// The source to make passes over within options.memory: `source` itself where that is 0, else frames held or
// streamed. Where even that leaves no room for bounds, it makes the options exhaustive. Throws an Error that
// says how much is needed at least. `options.engine` is resolved.
std::unique_ptr<FrameSource> fit_in_memory(const FrameSource& source, KmeansOptions& options);

// Throws an Error where options.memory is too little to hold as many frames and work on them; makes the
// options exhaustive where bounds do not fit besides.
void require_memory_for(int64_t frames, int64_t dim, KmeansOptions& options);

// Bytes in this process's memory now.
int64_t resident_bytes();

}  // namespace retort
