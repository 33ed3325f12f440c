// Panels and back: every byte of a file's blocks is there again.
#include "tensor/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace carat {
namespace {

std::vector<DType> types_with_panels() {
  std::vector<DType> types;
  for (int i = 0; i < kNumDTypes; ++i)
    if (packable(static_cast<DType>(i))) types.push_back(static_cast<DType>(i));
  return types;
}

TEST(Pack, BlocksComeBackByteForByte) {
  std::mt19937 rng(7);
  ASSERT_EQ(types_with_panels().size(), 17u);
  for (const DType t : types_with_panels())
    for (const int64_t k : {32, 64, 96, 256, 288, 512, 704}) {
      if (k % info(t).block_elems != 0) continue;
      const int64_t n = 37, bytes = row_bytes(t, k), panel = panel_bytes(t, k);
      std::vector<std::byte> rows(static_cast<size_t>(n * bytes)), back(rows.size());
      for (std::byte& b : rows) b = static_cast<std::byte>(rng());  // any bytes are blocks
      std::vector<std::byte> panels(static_cast<size_t>(panels_of(n) * panel), std::byte{0xAA});
      pack_rows(t, rows.data(), n, k, panels.data());
      for (int64_t i = 0; i < n; ++i) unpack_blocks(t, panels.data() + i / kLanes * panel, static_cast<int>(i % kLanes), k, back.data() + i * bytes);
      ASSERT_EQ(rows, back) << info(t).name << " k=" << k;
    }
}

// What no packer writes (6-bit scales beyond 63) is still read as some block, the same one every time.
TEST(Pack, AnyBytesAreAPanel) {
  std::mt19937 rng(8);
  for (const DType t : types_with_panels()) {
    const int64_t k = 512, bytes = row_bytes(t, k);
    std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(t, k)));
    for (std::byte& b : panel) b = static_cast<std::byte>(rng());
    std::vector<std::byte> rows(static_cast<size_t>(kLanes * bytes)), again(rows.size()), packed(panel.size());
    for (int i = 0; i < kLanes; ++i) unpack_blocks(t, panel.data(), i, k, rows.data() + i * bytes);
    pack_rows(t, rows.data(), kLanes, k, packed.data());
    for (int i = 0; i < kLanes; ++i) unpack_blocks(t, packed.data(), i, k, again.data() + i * bytes);
    EXPECT_EQ(rows, again) << info(t).name;
  }
}

}  // namespace
}  // namespace carat
