// A device without a GPU: the kernels run thread by thread on the CPU.
#pragma once

#include <cstring>
#include <deque>
#include <vector>

#include "base/error.h"
#include "kmeans/kmeans_device.h"

namespace retort {

// Memory is poisoned, so that what reads what nobody wrote gives itself away, and what is sent arrives only
// when somebody waits for it.
class EmulatedDevice : public KmeansDevice {
 public:
  explicit EmulatedDevice(int64_t bytes, bool last_warp_first = false)
      : bytes_(bytes), last_warp_first_(last_warp_first) {}

  int64_t free_bytes() const override { return bytes_; }
  char* reserve(int64_t bytes) override {
    if (bytes > bytes_) fail("the device has {} bytes, {} were asked for", bytes_, bytes);
    memory_.assign(static_cast<size_t>(bytes), static_cast<char>(0x7f));
    return memory_.data();
  }

  void fill(void* to, int byte, int64_t bytes) override { std::memset(to, byte, static_cast<size_t>(bytes)); }
  void upload(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void download(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }

  void* staging(int slot) override {
    arrive();
    staging_[slot].resize(staging_bytes);
    return staging_[slot].data();
  }
  void send(int slot, void* to, int64_t bytes) override {
    sent_.push_back({to, staging_[slot].data(), static_cast<size_t>(bytes)});
  }
  void wait_for_sent() override { arrive(); }
  void release(int) override {}
  void wait_for_release(int) override {}

  void prepare_rows(const kmeans_kernels::PrepareArgs& args) override {
    launch(3, kmeans_kernels::prepare_threads, [&] { kmeans_kernels::prepare_rows(args); });
  }
  void score_tiles(const kmeans_kernels::ScoreArgs& args, kmeans_kernels::Scoring scoring) override {
    kmeans_kernels::tile_columns(args.clusters) == 128 ? score<128>(args, scoring)
                                                       : score<256>(args, scoring);
  }
  void settle(const kmeans_kernels::SettleArgs& args) override {
    settled_ += *args.doubtful_count;
    launch(2, kmeans_kernels::settle_threads, [&] { kmeans_kernels::settle(args); });
  }
  void sort_moves(const kmeans_kernels::MoveArgs& args) override {
    launch(2, kmeans_kernels::move_threads, [&] { kmeans_kernels::count_moves(args); });
    launch(
        1, kmeans_kernels::move_threads, [&] { kmeans_kernels::find_segments(args); },
        kmeans_kernels::segment_shared_bytes);
    launch(2, kmeans_kernels::move_threads, [&] { kmeans_kernels::place_moves(args); });
  }
  void add_moves(const kmeans_kernels::SumArgs& args) override {
    launch(
        2, kmeans_kernels::sum_threads, [&] { kmeans_kernels::add_moves(args); }, 0,
        (args.dim + kmeans_kernels::sum_threads - 1) / kmeans_kernels::sum_threads);
  }
  void round_sums(const kmeans_kernels::RoundArgs& args) override {
    launch(2, kmeans_kernels::move_threads, [&] { kmeans_kernels::round_sums(args); });
  }

  // Frames whose labels bf16 scores left in doubt.
  int64_t settled() const { return settled_; }

 private:
  struct Sent {
    void* to;
    const void* from;
    size_t bytes;
  };

  void arrive() {
    for (; !sent_.empty(); sent_.pop_front())
      std::memcpy(sent_.front().to, sent_.front().from, sent_.front().bytes);
  }

  void launch(int64_t blocks, int threads, const std::function<void()>& kernel, size_t shared_bytes = 0,
              int64_t layers = 1) const {
    simt::emulate({blocks, layers, threads, shared_bytes, last_warp_first_}, kernel);
  }

  template <int columns>
  void score(const kmeans_kernels::ScoreArgs& args, kmeans_kernels::Scoring scoring) const {
    using Tile = kmeans_kernels::ScoreTile<columns>;
    const int64_t blocks = (args.count + Tile::rows - 1) / Tile::rows;
    launch(
        blocks, Tile::threads,
        [&] {
          scoring == kmeans_kernels::Scoring::label
              ? kmeans_kernels::score_tiles<Tile, kmeans_kernels::Scoring::label>(args)
              : kmeans_kernels::score_tiles<Tile, kmeans_kernels::Scoring::candidates>(args);
        },
        Tile::shared_bytes);
  }

  int64_t bytes_;
  bool last_warp_first_;
  std::vector<char> memory_;
  std::vector<char> staging_[2];
  std::deque<Sent> sent_;
  int64_t settled_ = 0;
};

}  // namespace retort
