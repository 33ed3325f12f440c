#include <bit>

#include "kernel_cases.h"

namespace carat::kernels {
namespace {

std::vector<float> multiply(const Panels& p, int64_t n, const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t begin, int64_t end) {
  std::vector<float> out(static_cast<size_t>(rows * (n + 3)), -12345.0f);
  fast_bf16_table()->matmul_dense({.dtype = DType::bf16,
                                   .panels = p.bytes.data(),
                                   .n = n,
                                   .panel_begin = begin,
                                   .panel_end = end,
                                   .x = x,
                                   .ldx = ldx,
                                   .rows = rows,
                                   .k = k,
                                   .out = out.data(),
                                   .ldo = n + 3});
  return out;
}

float round_to_bf16(float v) { return std::bit_cast<float>(static_cast<uint32_t>(f32_to_bf16(v)) << 16); }

// The products of two bf16 are exact in f32. Each of the k additions errs by at most 2^-24 of a partial sum, which no sum of magnitudes is below; twice that is
// allowed, for the sums themselves err. A subnormal taken for 0 costs less than 2^-126 of the other factor, or of the result.
TEST(FastBf16, ErrsNoMoreThanItsAdditionsOnRoundedActivations) {
  if (!fast_bf16_table()) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  std::mt19937 rng(41);
  int64_t rows = 0;
  for (const int64_t k : {1, 7, 64, 513, 1100})
    for (const int64_t n : {1, 16, 33, 50, 129}) {
      rows = rows % 40 + 3;
      const int64_t ldx = k + 5;
      const auto w = make_rows(DType::bf16, n, k, rng);
      const Panels p = pack(DType::bf16, w, n, k);
      auto x = random_floats(rows * ldx, rng);
      x[0] = 1e-41f;
      const auto got = multiply(p, n, x.data(), ldx, rows, k, 0, p.count);
      std::vector<float> row(static_cast<size_t>(k));
      for (int64_t i = 0; i < n; ++i) {
        dequantise(DType::bf16, w.data() + i * row_bytes(DType::bf16, k), row.data(), k);
        for (int64_t r = 0; r < rows; ++r) {
          double sum = 0, magnitude = 0;
          for (int64_t j = 0; j < k; ++j) {
            const double term = static_cast<double>(row[static_cast<size_t>(j)]) * round_to_bf16(x[static_cast<size_t>(r * ldx + j)]);
            sum += term;
            magnitude += std::abs(term);
          }
          const double bound = static_cast<double>(k) * (0x1p-23 * magnitude + 0x1p-120);
          ASSERT_NEAR(got[static_cast<size_t>(r * (n + 3) + i)], sum, bound) << "k=" << k << " output " << i << " row " << r;
        }
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = n; j < n + 3; ++j) ASSERT_EQ(got[static_cast<size_t>(r * (n + 3) + j)], -12345.0f) << "a column beyond n was written";
    }
}

TEST(FastBf16, ARowDependsOnNeitherItsNeighboursNorTheCutOfPanels) {
  if (!fast_bf16_table()) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  std::mt19937 rng(42);
  const int64_t k = 1101, n = 16 * 7 - 5, rows = 77;
  const Panels p = pack(DType::bf16, make_rows(DType::bf16, n, k, rng), n, k);
  const auto x = random_floats(rows * k, rng);
  const auto together = multiply(p, n, x.data(), k, rows, k, 0, p.count);
  for (int64_t r = 0, some = 1; r < rows; r += some, some = some % 13 + 1) {
    if (r + some > rows) some = rows - r;
    const auto alone = multiply(p, n, x.data() + r * k, k, some, k, 0, p.count);
    ASSERT_EQ(std::memcmp(alone.data(), together.data() + r * (n + 3), alone.size() * sizeof(float)), 0) << "rows " << r << " + " << some;
  }
  for (int64_t panel = 0; panel < p.count; ++panel) {
    const auto one = multiply(p, n, x.data(), k, rows, k, panel, panel + 1);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = panel * kLanes; j < std::min(n, (panel + 1) * kLanes); ++j)
        ASSERT_EQ(one[static_cast<size_t>(r * (n + 3) + j)], together[static_cast<size_t>(r * (n + 3) + j)]) << "panel " << panel;
  }
  // The last panels into a block of their own, which begins with their first output.
  const int64_t column = 4 * kLanes, columns = n - column;
  std::vector<float> block(static_cast<size_t>(rows * columns));
  fast_bf16_table()->matmul_dense({.dtype = DType::bf16,
                                   .panels = p.bytes.data(),
                                   .n = n,
                                   .panel_begin = 4,
                                   .panel_end = p.count,
                                   .x = x.data(),
                                   .ldx = k,
                                   .rows = rows,
                                   .k = k,
                                   .out = block.data(),
                                   .ldo = columns,
                                   .column0 = column});
  for (int64_t r = 0; r < rows; ++r)
    ASSERT_EQ(std::memcmp(block.data() + r * columns, together.data() + r * (n + 3) + column, static_cast<size_t>(columns) * sizeof(float)), 0) << "row " << r;
}

TEST(FastBf16, OtherTypesAreMultipliedExactlyAsBefore) {
  if (!fast_bf16_table()) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  EXPECT_STRNE(find_table("")->name, fast_bf16_table()->name) << "it is never chosen by itself";
  std::mt19937 rng(43);
  const int64_t k = 70, n = 20, rows = 5;
  for (const DType type : {DType::f32, DType::f16}) {
    const Panels p = pack(type, make_rows(type, n, k, rng), n, k);
    const auto x = random_floats(rows * k, rng);
    std::vector<float> want(static_cast<size_t>(rows * n)), got(want.size());
    DenseMatmul a{.dtype = type,
                  .panels = p.bytes.data(),
                  .n = n,
                  .panel_begin = 0,
                  .panel_end = p.count,
                  .x = x.data(),
                  .ldx = k,
                  .rows = rows,
                  .k = k,
                  .out = want.data(),
                  .ldo = n};
    scalar_table()->matmul_dense(a);
    a.out = got.data();
    fast_bf16_table()->matmul_dense(a);
    EXPECT_TRUE(same_bits(want, got)) << info(type).name;
  }
}

}  // namespace
}  // namespace carat::kernels
