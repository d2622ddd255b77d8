// Frames as one long matrix of rows, wherever they are: what is clustered and labelled.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "store/frame_store.h"

namespace retort {

// Which frame of which utterance a row is.
struct FramePlace {
  const std::string* utterance;  // its id, which the source keeps
  int64_t frame;
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual int64_t frames() const = 0;
  virtual int64_t dim() const = 0;
  // Rows [first, first + count) into out (count * dim values). May be called from several threads.
  virtual void read_rows(int64_t first, int64_t count, float* out) const = 0;
  // Where rows [first, first + count) lie in memory as they are read, or null where they do not.
  virtual const float* rows_in_place(int64_t, int64_t) const { return nullptr; }
  virtual FramePlace place(int64_t row) const = 0;
  // What row `row` is called in an error: utterance and frame.
  std::string row_name(int64_t row) const;
  // A pass takes this many rows at a time, and says so before it reads them, from one thread alone.
  virtual int64_t chunk_rows() const { return int64_t{1} << 16; }
  virtual void begin_chunk(int64_t /*first*/) const {}
  // Whether the rows are in this process's memory already.
  virtual bool in_memory() const { return false; }
  // Bytes read from files so far.
  virtual int64_t bytes_read() const { return 0; }
};

// All rows of a feature store, read as they are asked for.
class StoreFrames : public FrameSource {
 public:
  // Keeps a reference; refuses a store of labels. `frugal` gives back the memory of the mapped files soon.
  explicit StoreFrames(const FrameStore& store, bool frugal = false);

  int64_t frames() const override { return store_.frames(); }
  int64_t dim() const override { return store_.info().dim; }
  void read_rows(int64_t first, int64_t count, float* out) const override;
  const float* rows_in_place(int64_t first, int64_t count) const override;
  FramePlace place(int64_t row) const override;
  int64_t bytes_read() const override { return bytes_read_; }

 private:
  void forget_what_was_read(int64_t first, int64_t count) const;

  const FrameStore& store_;
  const bool frugal_;
  mutable std::atomic<int64_t> bytes_read_ = 0;
};

}  // namespace retort
