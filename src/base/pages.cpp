#include "base/pages.h"

#include <sys/mman.h>

#include <new>

namespace carat {

std::byte* map_pages(size_t bytes) {
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(p);
}

void unmap_pages(std::byte* pages, size_t bytes) { ::munmap(pages, bytes); }

}  // namespace carat
