// A device that runs the kernels of a pass (kernels/kmeans_kernels.h) and has memory of its own.
#pragma once

#include <cstdint>

#include "kernels/kmeans_kernels.h"

namespace retort {

// Kernels run in the order of the calls and return at once; what waits for them says so. Beside them, frames
// are copied from two buffers of pinned memory, so that one is filled while the other is on its way.
class KmeansDevice {
 public:
  virtual ~KmeansDevice() = default;

  // Bytes of its memory that nobody uses.
  virtual int64_t free_bytes() const = 0;
  // Memory of this many bytes, aligned to 256, for as long as the device is there. To be called once.
  virtual char* reserve(int64_t bytes) = 0;

  virtual void fill(void* to, int byte, int64_t bytes) = 0;
  // Both wait for all that was asked for before.
  virtual void upload(void* to, const void* from, int64_t bytes) = 0;
  virtual void download(void* to, const void* from, int64_t bytes) = 0;

  // Pinned memory number `slot`, 0 or 1, of staging_bytes; waits until what was sent from it is there.
  static constexpr int64_t staging_bytes = int64_t{32} << 20;
  virtual void* staging(int slot) = 0;
  // Copies from the front of staging(slot), beside the kernels.
  virtual void send(int slot, void* to, int64_t bytes) = 0;
  // Kernels that are called from now on wait for all that was sent.
  virtual void wait_for_sent() = 0;
  // What is sent from now on waits for the kernels before the last release(buffer), buffer being 0 or 1.
  virtual void release(int buffer) = 0;
  virtual void wait_for_release(int buffer) = 0;

  virtual void prepare_rows(const kmeans_kernels::PrepareArgs& args) = 0;
  virtual void score_tiles(const kmeans_kernels::ScoreArgs& args, kmeans_kernels::Scoring scoring) = 0;
  virtual void settle(const kmeans_kernels::SettleArgs& args) = 0;
  virtual void sort_moves(const kmeans_kernels::MoveArgs& args) = 0;
  virtual void add_moves(const kmeans_kernels::SumArgs& args) = 0;
  virtual void round_sums(const kmeans_kernels::RoundArgs& args) = 0;
};

}  // namespace retort
