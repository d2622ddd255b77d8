#include "nn/torch_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

namespace retort {
namespace {

constexpr std::size_t least_bytes = std::size_t{1} << 19;  // smaller ones come from malloc, which keeps them
constexpr std::size_t granule = std::size_t{1} << 16;      // sizes are multiples, so that blocks fit again

// Twice what the machine has, since what is in use may lie scattered.
std::size_t bytes_to_reserve() {
  return 2 * static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// A heap within one range of addresses: the smallest free block that is large enough, neighbours joined.
class KeptMemory final : public c10::Allocator {
 public:
  static KeptMemory& instance() {
    static auto* const memory = new KeptMemory;  // outlives every tensor
    return *memory;
  }

  bool available() const { return top_ != nullptr; }

  c10::DataPtr allocate(std::size_t bytes) override {
    char* block = bytes >= least_bytes ? take((bytes + granule - 1) / granule * granule) : nullptr;
    void* data = block != nullptr ? block : c10::alloc_cpu(bytes);
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

 private:
  KeptMemory() {
    const std::size_t reserved = bytes_to_reserve();
    void* const range =
        mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return;
    madvise(range, reserved, MADV_HUGEPAGE);  // where it is refused, pages are small
    begin_ = top_ = static_cast<char*>(range);
    end_ = begin_ + reserved;
  }

  // Null where no room is left.
  char* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (by_size_.lower_bound({bytes, nullptr}) == by_size_.end() && !grow(bytes)) return nullptr;
    const auto [size, block] = *by_size_.lower_bound({bytes, nullptr});
    forget_free(free_.find(block));
    used_[block] = bytes;
    if (size > bytes) add_free(block + bytes, size - bytes);
    return block;
  }

  // Makes the last free block `bytes` long, or a new one behind all others.
  bool grow(std::size_t bytes) {
    std::size_t missing = bytes;
    if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == top_)
      missing -= free_.rbegin()->second;
    if (missing > static_cast<std::size_t>(end_ - top_)) return false;
    char* const added = top_;
    top_ += missing;
    add_free(added, missing);
    return true;
  }

  void add_free(char* block, std::size_t bytes) {
    const auto next = free_.find(block + bytes);
    if (next != free_.end()) {
      bytes += next->second;
      forget_free(next);
    }
    auto before = free_.lower_bound(block);
    if (before != free_.begin()) {
      --before;
      if (before->first + before->second == block) {
        block = before->first;
        bytes += before->second;
        forget_free(before);
      }
    }
    free_[block] = bytes;
    by_size_.emplace(bytes, block);
  }

  void forget_free(std::map<char*, std::size_t>::iterator block) {
    by_size_.erase({block->second, block->first});
    free_.erase(block);
  }

  static void release(void* data) {
    KeptMemory& memory = instance();
    auto* const block = static_cast<char*>(data);
    if (block < memory.begin_ || block >= memory.end_) {
      c10::free_cpu(data);
      return;
    }
    const std::lock_guard lock(memory.mutex_);
    const auto used = memory.used_.find(block);
    const std::size_t bytes = used->second;
    memory.used_.erase(used);
    memory.add_free(block, bytes);
  }

  std::mutex mutex_;
  char* begin_ = nullptr;
  char* end_ = nullptr;
  char* top_ = nullptr;                // nothing from here on was used yet
  std::map<char*, std::size_t> free_;  // by address
  std::set<std::pair<std::size_t, char*>> by_size_;
  std::unordered_map<char*, std::size_t> used_;
};

}  // namespace

void keep_tensor_memory() {
  KeptMemory& memory = KeptMemory::instance();
  if (memory.available()) c10::SetCPUAllocator(&memory);
}

}  // namespace retort
