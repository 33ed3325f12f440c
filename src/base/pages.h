#pragma once
// Anonymous memory in whole pages straight from the system: a page takes memory when it is first touched, and what is given back is free for others at once.
// For what is large: malloc keeps freed memory of some sizes, which no plan of memory could foretell.
#include <cstddef>

namespace carat {

// Zeros. Throws std::bad_alloc.
std::byte* map_pages(size_t bytes);
// The same from a boundary of kHugePage on.
std::byte* map_aligned_pages(size_t bytes);
// The whole of what either gave for so many bytes.
void unmap_pages(std::byte* pages, size_t bytes);

inline constexpr size_t kHugePage = size_t{2} << 20;
// kHugePage bytes from such a boundary on, all of them in use, become one page of the machine: fewer entries to walk when much is read. Others may read them meanwhile.
// It takes milliseconds (a hypervisor that takes free memory back has to give it again), so it is work for idle moments. False where the system cannot.
bool collapse_pages(std::byte* pages);

// Pages with an owner.
class PageBuffer {
 public:
  PageBuffer() = default;
  ~PageBuffer() { release(); }
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;

  // At least so many bytes; what it held may be lost. Throws std::bad_alloc.
  std::byte* reserve(size_t bytes) {
    if (bytes <= bytes_) return data_;
    release();
    data_ = map_pages(bytes);
    bytes_ = bytes;
    return data_;
  }
  void release() {
    if (bytes_ > 0) unmap_pages(data_, bytes_);
    data_ = nullptr, bytes_ = 0;
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace carat
