#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

namespace carat {
namespace {

#ifndef MADV_COLLAPSE
constexpr int MADV_COLLAPSE = 25;  // Linux 6.1
#endif

}  // namespace

std::byte* map_pages(size_t bytes) {
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(p);
}

std::byte* map_aligned_pages(size_t bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  bytes = (bytes + page - 1) / page * page;
  std::byte* p = map_pages(bytes + kHugePage);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(p) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(p, before);
  if (before < kHugePage) ::munmap(p + before + bytes, kHugePage - before);
  return p + before;
}

void unmap_pages(std::byte* pages, size_t bytes) { ::munmap(pages, bytes); }

bool collapse_pages(std::byte* pages) { return ::madvise(pages, kHugePage, MADV_COLLAPSE) == 0; }

}  // namespace carat
