#pragma once
// Arithmetic for every size, count and offset that comes from a file: it fails instead of wrapping.
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace carat {

inline uint64_t checked_add(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t r;
  if (__builtin_add_overflow(a, b, &r)) fail(ErrorCode::corrupt, "{}: {} + {} does not fit in 64 bits", what, a, b);
  return r;
}

inline uint64_t checked_mul(uint64_t a, uint64_t b, std::string_view what) {
  uint64_t r;
  if (__builtin_mul_overflow(a, b, &r)) fail(ErrorCode::corrupt, "{}: {} x {} does not fit in 64 bits", what, a, b);
  return r;
}

// Next multiple of `alignment` (a power of two).
inline uint64_t checked_align(uint64_t a, uint64_t alignment, std::string_view what) { return checked_add(a, alignment - 1, what) & ~(alignment - 1); }

}  // namespace carat
