#include "base/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace carat {
namespace {

// A step that grows a little each time, as attention does over a growing context, or one of any size: what is held follows the largest step.
TEST(Arena, HoldsNoMoreThanTwiceTheLargestStep) {
  for (int pattern = 0; pattern < 2; ++pattern) {
    Arena arena;
    size_t largest = 0;
    uint32_t random = 1;
    for (size_t step = 1; step <= 400; ++step) {
      random = random * 1664525u + 1013904223u;
      const size_t bytes = pattern == 0 ? step << 16 : size_t{random >> 16} * 256;
      arena.reset();
      size_t sum = 0;
      for (int i = 0; i < 6; ++i) sum += bytes + 64, std::memset(arena.allocate(bytes), i, 64);
      largest = std::max(largest, sum);
    }
    arena.reset();
    EXPECT_LE(arena.capacity(), 2 * largest + (size_t{8} << 20));
  }
}

TEST(Arena, AWarmArenaAllocatesNothingAndIsAligned) {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    arena.reset();
    for (int i = 0; i < 50; ++i) EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(100001)) % 64, 0u);
  }
  const size_t warm = arena.capacity();
  for (int round = 0; round < 3; ++round) {
    arena.reset();
    for (int i = 0; i < 50; ++i) arena.allocate(100001);
    EXPECT_EQ(arena.capacity(), warm);
  }
}

}  // namespace
}  // namespace carat
