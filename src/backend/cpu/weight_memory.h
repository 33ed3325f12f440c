#pragma once
// Where packed matrices live: small ones side by side in chunks. Memory is given back chunk by chunk, when the last matrix in it is gone.
// It is taken in small pages, which are there at once, and turned into huge ones when there is time: decode then reads 4 to 13 % faster (docs/decisions/0015).
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/pages.h"

namespace carat {

class WeightMemory {
 public:
  // 64-byte aligned; what is not written takes no memory. Throws std::bad_alloc.
  std::shared_ptr<std::byte> take(uint64_t bytes);
  // The next matrix begins a chunk of its own: this one is given back as soon as nothing in it is used.
  void close() { chunk_.reset(); }
  // Makes one huge page; false when nothing is left to do.
  bool settle();

 private:
  static constexpr uint64_t kChunk = uint64_t{32} << 20;
  struct Mapping {
    std::weak_ptr<std::byte> pages;
    uint64_t used, settled;  // bytes from the beginning
  };
  std::shared_ptr<std::byte> map(uint64_t bytes);

  std::shared_ptr<std::byte> chunk_;
  uint64_t used_ = 0;
  size_t chunk_index_ = 0;  // in unsettled_, while the chunk is open
  std::vector<Mapping> unsettled_;
};

}  // namespace carat
