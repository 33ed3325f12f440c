#pragma once
// Bump allocation for the activations of a step. Memory is kept between resets, so that a warmed-up step allocates nothing.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/pages.h"

namespace carat {

class Arena {
 public:
  // 64-byte aligned, uninitialised, valid until reset().
  void* allocate(size_t bytes) {
    bytes = (bytes + 63) & ~size_t{63};
    while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].size) next();
    if (chunk_ == chunks_.size()) add_chunk(bytes > kChunk ? bytes : kChunk);
    void* p = chunks_[chunk_].data + used_;
    used_ += bytes;
    handed_out_ += bytes;
    if (handed_out_ > peak_) peak_ = handed_out_;
    return p;
  }
  template <typename T>
  T* allocate_array(int64_t n) {
    return static_cast<T*>(allocate(static_cast<size_t>(n) * sizeof(T)));
  }

  // What a step outgrew is joined into one chunk, so that memory follows the largest step and not the sum of all sizes ever seen.
  void reset() {
    if (chunks_.size() > 1) {
      size_t used = used_;
      for (size_t i = 0; i < chunk_ && i < chunks_.size(); ++i) used += chunks_[i].size;
      drop_chunks();
      used = (used + used / 4 + 4095) / 4096 * 4096;
      add_chunk(used > kChunk ? used : kChunk);
    }
    chunk_ = 0, used_ = 0, handed_out_ = 0;
  }
  // As new.
  void release() {
    drop_chunks();
    chunk_ = 0, used_ = 0, handed_out_ = 0, peak_ = 0;
  }
  // The most bytes that were handed out between two resets: what is resident, once all of it was written.
  size_t peak() const { return peak_; }
  size_t capacity() const {
    size_t sum = 0;
    for (const Chunk& c : chunks_) sum += c.size;
    return sum;
  }

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { release(); }

 private:
  static constexpr size_t kChunk = size_t{4} << 20;
  struct Chunk {
    std::byte* data;
    size_t size;
  };
  void next() { ++chunk_, used_ = 0; }
  void add_chunk(size_t size) {
    chunks_.reserve(chunks_.size() + 1);
    chunks_.push_back({map_pages(size), size});
  }
  void drop_chunks() {
    for (const Chunk& c : chunks_) unmap_pages(c.data, c.size);
    chunks_.clear();
  }
  std::vector<Chunk> chunks_;
  size_t chunk_ = 0;
  size_t used_ = 0;
  size_t handed_out_ = 0;
  size_t peak_ = 0;
};

}  // namespace carat
