#include "backend/cpu/weight_memory.h"

namespace carat {

std::shared_ptr<std::byte> WeightMemory::map(uint64_t bytes) {
  std::shared_ptr<std::byte> pages{map_aligned_pages(bytes), [bytes](std::byte* p) { unmap_pages(p, bytes); }};
  unsettled_.push_back({pages, bytes, 0});
  return pages;
}

std::shared_ptr<std::byte> WeightMemory::take(uint64_t bytes) {
  if (bytes >= kChunk / 4) return map(bytes);
  const uint64_t at = (used_ + 63) / 64 * 64;
  if (!chunk_ || at + bytes > kChunk) {
    chunk_ = map(kChunk);
    chunk_index_ = unsettled_.size() - 1;
    unsettled_.back().used = used_ = bytes;
    return chunk_;
  }
  unsettled_[chunk_index_].used = used_ = at + bytes;
  return {chunk_, chunk_.get() + at};
}

bool WeightMemory::settle() {
  close();
  while (!unsettled_.empty()) {
    Mapping& m = unsettled_.back();
    const std::shared_ptr<std::byte> pages = m.pages.lock();
    if (!pages || m.settled + kHugePage > m.used) {
      unsettled_.pop_back();
      continue;
    }
    if (!collapse_pages(pages.get() + m.settled)) {
      unsettled_.clear();  // this system has none, or none left
      return false;
    }
    m.settled += kHugePage;
    return true;
  }
  return false;
}

}  // namespace carat
