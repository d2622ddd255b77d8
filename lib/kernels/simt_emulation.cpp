#include "kernels/simt_emulation.h"

#include <ucontext.h>

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "base/error.h"

namespace retort::simt {
namespace {

constexpr int lanes = 32;
constexpr std::size_t slot_bytes = 64;
constexpr std::size_t stack_bytes = std::size_t{1} << 16;

struct Copy {
  void* to;
  const void* from;
  bool valid;
};

// What lanes of a warp hand each other: two sets in turn, so that a lane may hand in its next value while
// others still read the last.
struct Warp {
  std::array<std::array<char, lanes * slot_bytes>, 2> slots;
  std::array<int, 2> handed_in{};
};

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  int exchanges = 0;
  int barriers = 0;
  bool done = false;
  std::vector<Copy> open_group;
  std::deque<std::vector<Copy>> groups;
};

class Block {
 public:
  Block(const Launch& launch, const std::function<void()>& kernel)
      : launch_(launch),
        kernel_(kernel),
        shared_(launch.shared_bytes + 128),
        warps_(static_cast<std::size_t>(launch.threads / lanes)),
        fibers_(static_cast<std::size_t>(launch.threads)) {
    for (Fiber& fiber : fibers_) fiber.stack.resize(stack_bytes);
  }

  void run(int block, int layer);

  const Launch& launch() const { return launch_; }
  int block() const { return block_; }
  int layer() const { return layer_; }
  int thread() const { return thread_; }
  Fiber& fiber() { return fibers_[static_cast<std::size_t>(thread_)]; }
  Warp& warp() { return warps_[static_cast<std::size_t>(thread_ / lanes)]; }
  char* shared() { return shared_.data() + (128 - reinterpret_cast<std::uintptr_t>(shared_.data()) % 128); }

  void note_progress() { moved_ = true; }
  void wait() { swapcontext(&fiber().context, &scheduler_); }
  // Barrier number `barrier` of this thread is behind it once all others are there too.
  bool all_at_barrier(int barrier) const {
    for (const Fiber& fiber : fibers_)
      if (fiber.barriers < barrier) return false;
    return true;
  }

 private:
  static void enter();
  bool advance_warp(int warp);

  const Launch& launch_;
  const std::function<void()>& kernel_;
  std::vector<char> shared_;
  std::vector<Warp> warps_;
  std::vector<Fiber> fibers_;
  ucontext_t scheduler_{};
  int block_ = 0, layer_ = 0, thread_ = 0;
  bool moved_ = false;  // some thread of the warp whose turn it is
};

thread_local Block* current = nullptr;

void Block::enter() {
  current->kernel_();
  current->fiber().done = true;
  current->note_progress();
  current->wait();
}

// Lets every thread of the warp go on until it waits. Says whether any got anywhere.
bool Block::advance_warp(int warp) {
  moved_ = false;
  for (int lane = 0; lane < lanes; ++lane) {
    thread_ = warp * lanes + lane;
    if (!fiber().done) swapcontext(&scheduler_, &fiber().context);
  }
  return moved_;
}

void Block::run(int block, int layer) {
  block_ = block;
  layer_ = layer;
  current = this;
  for (Warp& warp : warps_) warp.handed_in = {};
  for (Fiber& fiber : fibers_) {
    fiber.exchanges = fiber.barriers = 0;
    fiber.done = false;
    fiber.open_group.clear();
    fiber.groups.clear();
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
  const int warps = launch_.threads / lanes;
  for (bool any = true; any;) {
    any = false;
    for (int i = 0; i < warps; ++i)
      while (advance_warp(launch_.last_warp_first ? warps - 1 - i : i)) any = true;
  }
  for (const Fiber& fiber : fibers_)
    if (!fiber.done) fail("a thread of an emulated kernel waits for what never comes");
  current = nullptr;
}

}  // namespace

void emulate(const Launch& launch, const std::function<void()>& kernel) {
  Block block(launch, kernel);
  for (int64_t layer = 0; layer < launch.layers; ++layer)
    for (int64_t index = 0; index < launch.blocks; ++index)
      block.run(static_cast<int>(index), static_cast<int>(layer));
}

int thread_index() {
  return current->thread();
}
int thread_count() {
  return current->launch().threads;
}
int block_index() {
  return current->block();
}
int block_count() {
  return static_cast<int>(current->launch().blocks);
}
int block_layer() {
  return current->layer();
}
char* shared_memory() {
  return current->shared();
}

void sync_threads() {
  current->note_progress();
  const int barrier = ++current->fiber().barriers;
  while (!current->all_at_barrier(barrier)) current->wait();
  current->note_progress();
}

void copy_async(void* shared, const void* global, bool valid) {
  current->fiber().open_group.push_back({shared, global, valid});
}

void close_copy_group() {
  Fiber& fiber = current->fiber();
  fiber.groups.push_back(std::move(fiber.open_group));
  fiber.open_group.clear();
}

void wait_for_copies(int left) {
  Fiber& fiber = current->fiber();
  for (; static_cast<int>(fiber.groups.size()) > left; fiber.groups.pop_front())
    for (const Copy& copy : fiber.groups.front()) {
      if (copy.valid)
        std::memcpy(copy.to, copy.from, 16);
      else
        std::memset(copy.to, 0, 16);
    }
}

const char* exchange(const void* value, std::size_t bytes) {
  Warp& warp = current->warp();
  const int number = current->fiber().exchanges++;
  const auto set = static_cast<std::size_t>(number % 2);
  std::memcpy(warp.slots[set].data() + slot_bytes * static_cast<std::size_t>(current->thread() % lanes),
              value, bytes);
  ++warp.handed_in[set];
  current->note_progress();
  while (warp.handed_in[set] < lanes * (number / 2 + 1)) current->wait();
  current->note_progress();
  return warp.slots[set].data();
}

void load_matrices(const void* row, uint32_t (&parts)[4]) {
  const char* rows = exchange(&row, sizeof row);
  const int lane = thread_index() % lanes;
  for (int matrix = 0; matrix < 4; ++matrix) {
    const char* from;
    std::memcpy(&from, rows + slot_bytes * static_cast<std::size_t>(8 * matrix + lane / 4), sizeof from);
    std::memcpy(&parts[matrix], from + 4 * (lane % 4), sizeof parts[matrix]);
  }
}

namespace {

float from_bf16(uint32_t pair, int which) {
  const uint32_t bits = which == 0 ? pair << 16 : pair & 0xffff0000u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct Fragments {
  uint32_t a[4];
  uint32_t b[2];
};

}  // namespace

void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b_low, uint32_t b_high) {
  const Fragments mine{{a[0], a[1], a[2], a[3]}, {b_low, b_high}};
  const char* all = exchange(&mine, sizeof mine);
  const auto of_lane = [&](int lane) {
    Fragments fragments;
    std::memcpy(&fragments, all + slot_bytes * static_cast<std::size_t>(lane), sizeof fragments);
    return fragments;
  };
  const int lane = thread_index() % lanes;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4, column = 2 * (lane % 4) + i % 2;
    for (int k = 0; k < 16; ++k) {
      const Fragments left = of_lane(row * 4 + k % 8 / 2);
      const Fragments right = of_lane(column * 4 + k % 8 / 2);
      sums[i] += from_bf16(left.a[i / 2 + 2 * (k / 8)], k % 2) * from_bf16(right.b[k / 8], k % 2);
    }
  }
}

}  // namespace retort::simt
