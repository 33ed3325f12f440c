#include "tensor/pack.h"

#include "kernel_cases.h"

namespace carat::kernels {
namespace {

std::vector<DType> all_types() {
  std::vector<DType> types;
  for (const DType t : kQuantTypes) types.push_back(t);
  for (const DType t : kDenseTypes) types.push_back(t);
  return types;
}

TEST(Pack, RowsComeBackBitForBit) {
  std::mt19937 rng(1);
  for (const DType t : all_types())
    for (const int64_t k : {32, 64, 96, 256, 288, 640, 704, 2112, 2560}) {
      if (k % info(t).block_elems != 0) continue;
      const int64_t n = 21;
      const auto rows = make_rows(t, n, k, rng);
      const Panels p = pack(t, rows, n, k);
      ASSERT_EQ(p.count, 2);
      for (int64_t i = 0; i < n; ++i) {
        std::vector<float> want(static_cast<size_t>(k)), got(static_cast<size_t>(k));
        dequantise(t, rows.data() + i * row_bytes(t, k), want.data(), k);
        unpack_row(t, p.bytes.data() + i / 16 * panel_bytes(t, k), static_cast<int>(i % 16), k, got.data());
        ASSERT_TRUE(same_bits(want, got)) << info(t).name << " k=" << k << " row " << i;
      }
    }
}

TEST(Pack, MissingOutputsAreZero) {
  std::mt19937 rng(2);
  for (const DType t : all_types()) {
    const int64_t k = 256;
    const Panels p = pack(t, make_rows(t, 3, k, rng), 3, k);
    std::vector<float> got(static_cast<size_t>(k));
    unpack_row(t, p.bytes.data(), 3, k, got.data());
    for (const float v : got) ASSERT_EQ(v, 0.0f) << info(t).name;
  }
}

TEST(Pack, PanelsTakeTheBytesOfTheirBlocks) {
  for (const DType t : all_types()) {
    const int64_t blocks = 16 * row_bytes(t, 2560);
    int64_t extra = 0;  // 6-bit scales of these types become bytes
    if (t == DType::q4_k || t == DType::q5_k || t == DType::q3_k) extra = 16 * 10 * 4;
    if (t == DType::iq4_xs) extra = 16 * 10 * 2;
    EXPECT_EQ(panel_bytes(t, 2560), blocks + extra) << info(t).name;
  }
}

TEST(Pack, EveryScaleByteOfTheFourBitFloats) {
  for (int b = 0; b < 256; ++b) {
    for (const DType t : {DType::mxfp4, DType::nvfp4}) {
      std::vector<std::byte> rows(static_cast<size_t>(row_bytes(t, 64)));
      for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::byte>(i * 37);
      if (t == DType::mxfp4)
        rows[0] = rows[17] = static_cast<std::byte>(b);
      else
        for (size_t i = 0; i < 4; ++i) rows[i] = static_cast<std::byte>(b);
      const Panels p = pack(t, rows, 1, 64);
      std::vector<float> want(64), got(64);
      dequantise(t, rows.data(), want.data(), 64);
      unpack_row(t, p.bytes.data(), 0, 64, got.data());
      ASSERT_TRUE(same_bits(want, got)) << info(t).name << " scale byte " << b;
    }
  }
}

TEST(Pack, RefusesWhatHasNoPanels) {
  EXPECT_FALSE(packable(DType::i32));
  EXPECT_FALSE(packable(DType::f8_e4m3));
  EXPECT_ANY_THROW(panel_bytes(DType::i64, 32));
  EXPECT_ANY_THROW(panel_bytes(DType::q4_k, 32));
  EXPECT_ANY_THROW(panel_bytes(DType::q4_0, 33));
}

}  // namespace
}  // namespace carat::kernels
