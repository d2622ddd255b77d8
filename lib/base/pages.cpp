#include "base/pages.h"

#include <sys/mman.h>

#include <new>

namespace retort {
namespace {

// Below this, pages of the usual size waste less.
constexpr std::size_t huge_page = std::size_t{2} << 20;

}  // namespace

Pages::Pages(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  if (bytes >= huge_page) madvise(mapped, bytes, MADV_HUGEPAGE);  // a wish: it may be refused
  data_ = static_cast<std::byte*>(mapped);
}

Pages::~Pages() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace retort
