#pragma once
// Anonymous memory in whole pages straight from the system: a page takes memory when it is first touched, and what is given back is free for others at once.
// For what is large: malloc keeps freed memory of some sizes, which no plan of memory could foretell.
#include <cstddef>

namespace carat {

// Zeros. Throws std::bad_alloc.
std::byte* map_pages(size_t bytes);
// The whole of what map_pages(bytes) gave.
void unmap_pages(std::byte* pages, size_t bytes);

}  // namespace carat
