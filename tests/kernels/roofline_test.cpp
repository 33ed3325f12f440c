// The loops of the roofline: they do the work they say, in no less time for more of it, and read nothing beyond what they are given.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <string_view>

#include "base/pages.h"
#include "kernels/kernels.h"

namespace carat::kernels {
namespace {

#if defined(__aarch64__)
constexpr int64_t kTurns = 4000;  // emulated, a turn takes a thousand times as long
#else
constexpr int64_t kTurns = 20000;
#endif

// The quickest of a few calls, in seconds.
template <typename Fn>
double quickest(Fn fn) {
  double best = 1e9;
  for (int i = 0; i < 9; ++i) {
    const auto start = std::chrono::steady_clock::now();
    fn();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

TEST(Roofline, MoreTurnsAreMoreOperationsAndTakeLonger) {
  const TableList list = available_tables();
  for (int i = 0; i < list.count; ++i) {
    const KernelTable& k = *list.tables[i];
    for (const auto spin : {k.spin_f32, k.spin_int8}) {
      const int64_t turns = k.name == std::string_view("scalar") ? 1000 : kTurns;
      const int64_t few = spin(turns), many = spin(4 * turns);
      EXPECT_GE(few, turns * 32) << k.name << ": a turn is at least a vector of 16";
      EXPECT_NEAR(static_cast<double>(many) / static_cast<double>(few), 4.0, 0.01) << k.name;
      // A loop that the compiler had taken away would take no time, however many turns.
      EXPECT_GT(quickest([&] { spin(16 * turns); }), 4 * quickest([&] { spin(turns); })) << k.name;
    }
  }
}

TEST(Roofline, ReadsAllOfABufferAndNothingBehindIt) {
  constexpr size_t kBytes = 1 << 20, kPage = 4096;
  std::byte* pages = map_pages(kBytes + kPage);
  ASSERT_EQ(mprotect(pages + kBytes, kPage, PROT_NONE), 0);
  const TableList list = available_tables();
  for (int i = 0; i < list.count; ++i) {
    const KernelTable& k = *list.tables[i];
    for (int way = 0; way < kReadWays; ++way) {
      k.read_bytes(pages, kBytes, way);
      k.read_bytes(pages, 4096, way);
      k.read_bytes(pages, 0, way);
      EXPECT_GT(quickest([&] { k.read_bytes(pages, kBytes, way); }), 4 * quickest([&] { k.read_bytes(pages, kBytes / 16, way); })) << k.name << " way " << way;
    }
  }
  unmap_pages(pages, kBytes + kPage);
}

}  // namespace
}  // namespace carat::kernels
