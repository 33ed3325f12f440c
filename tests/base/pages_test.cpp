// Pages from the system, and several turned into a large one.
#include "base/pages.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>

namespace carat {
namespace {

TEST(Pages, AlignedOnesBeginAtAHugePageAndCanAllBeWritten) {
  for (const size_t bytes : {size_t{1}, size_t{4096}, kHugePage - 1, kHugePage, kHugePage + 1, 3 * kHugePage + 12345}) {
    std::byte* p = map_aligned_pages(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % kHugePage, 0U) << bytes;
    EXPECT_EQ(p[0], std::byte{0});
    EXPECT_EQ(p[bytes - 1], std::byte{0});
    std::memset(p, 0x5A, bytes);
    unmap_pages(p, bytes);
  }
}

TEST(Pages, CollapsedOnesHoldWhatTheyHeldWhileOthersRead) {
  std::byte* p = map_aligned_pages(kHugePage);
  auto* values = reinterpret_cast<uint64_t*>(p);
  constexpr size_t kValues = kHugePage / sizeof(uint64_t);
  for (size_t i = 0; i < kValues; ++i) values[i] = i * 0x9E3779B97F4A7C15;
  std::atomic<bool> begun{false}, done{false};
  size_t wrong = 0;
  std::thread reader([&] {
    do {
      for (size_t i = 0; i < kValues; ++i) wrong += values[i] != i * 0x9E3779B97F4A7C15;
      begun = true;
    } while (!done);
  });
  while (!begun) std::this_thread::yield();
  const bool collapsed = collapse_pages(p);
  done = true;
  reader.join();
  for (size_t i = 0; i < kValues; ++i) wrong += values[i] != i * 0x9E3779B97F4A7C15;
  unmap_pages(p, kHugePage);
  EXPECT_EQ(wrong, 0U);
  if (!collapsed) GTEST_SKIP() << "this system makes no huge pages on demand: only that nothing was lost was checked";
}

}  // namespace
}  // namespace carat
