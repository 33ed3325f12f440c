#pragma once
// Hash128 -> int32, open addressing. Allocates only when it grows. Keys are already random: no further mixing.
#include <cstdint>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace carat {

class HashTable {
 public:
  explicit HashTable(int64_t expected = 16) { resize(expected); }

  int32_t find(const Hash128& key) const {  // -1: not there
    for (size_t i = key.lo & mask_; entries_[i].value >= 0; i = (i + 1) & mask_) {
      if (entries_[i].key == key) return entries_[i].value;
    }
    return -1;
  }
  // key must not be there; value >= 0.
  void insert(const Hash128& key, int32_t value) {
    if (2 * (size_ + 1) > entries_.size()) resize(static_cast<int64_t>(2 * entries_.size()));
    size_t i = key.lo & mask_;
    while (entries_[i].value >= 0) i = (i + 1) & mask_;
    entries_[i] = {key, value};
    ++size_;
  }
  void erase(const Hash128& key) {
    size_t hole = key.lo & mask_;
    while (entries_[hole].value >= 0 && !(entries_[hole].key == key)) hole = (hole + 1) & mask_;
    if (entries_[hole].value < 0) return;
    --size_;
    // Close the gap: move back each later entry of the run that may lie at the hole.
    for (size_t i = (hole + 1) & mask_; entries_[i].value >= 0; i = (i + 1) & mask_) {
      const size_t home = entries_[i].key.lo & mask_;
      if (((i - home) & mask_) >= ((i - hole) & mask_)) entries_[std::exchange(hole, i)] = entries_[i];
    }
    entries_[hole].value = -1;
  }
  size_t size() const { return size_; }

 private:
  struct Entry {
    Hash128 key;
    int32_t value = -1;
  };
  void resize(int64_t expected) {
    size_t n = 16;
    while (static_cast<int64_t>(n) < 2 * expected) n *= 2;
    std::vector<Entry> old = std::exchange(entries_, std::vector<Entry>(n));
    mask_ = n - 1;
    size_ = 0;
    for (const Entry& e : old) {
      if (e.value >= 0) insert(e.key, e.value);
    }
  }
  std::vector<Entry> entries_;
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace carat
