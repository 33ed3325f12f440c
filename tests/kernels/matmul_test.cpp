#include "kernel_cases.h"

namespace carat::kernels {
namespace {

constexpr float kSentinel = -12345.0f;

std::vector<float> multiply(const KernelTable& t, DType type, const Panels& p, int64_t n, const QuantRows& x, float w_scale = 1.0f) {
  const int64_t ldo = n + 3;
  std::vector<float> out(static_cast<size_t>(x.rows * ldo), kSentinel);
  t.matmul_quant(
      {.dtype = type, .panels = p.bytes.data(), .n = n, .panel_begin = 0, .panel_end = p.count, .x = x, .w_scale = w_scale, .out = out.data(), .ldo = ldo});
  return out;
}

// Activations that strain the dot: every q at +-127 with changing signs a group.
std::vector<float> extreme_activations(int64_t n, std::mt19937& rng) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = (i / 64 % 3 == 0 ? 1.0f : i / 64 % 3 == 1 ? -1.0f : (rng() & 1) != 0 ? 1.0f : -1.0f) * 3.5f;
  return x;
}

TEST(QuantiseRows, EveryTableGivesTheBitsOfScalar) {
  std::mt19937 rng(3);
  const int64_t rows = 3, k = 640;
  auto x = random_floats(rows * k, rng);
  for (int i = 0; i < 32; ++i) {
    x[static_cast<size_t>(i)] = 0.0f;
    x[static_cast<size_t>(32 + i)] = 1e-41f * static_cast<float>(i);  // 127 / amax overflows
    x[static_cast<size_t>(64 + i)] = 3e38f * (i % 2 == 0 ? 1.0f : -1.0f);
    x[static_cast<size_t>(96 + i)] = static_cast<float>(i - 16) * 0.5f;  // ties
  }
  x[130] = std::numeric_limits<float>::quiet_NaN();
  x[170] = -std::numeric_limits<float>::infinity();
  const Rows want = quantise(*scalar_table(), DType::q8_0, x, rows, k);
  EXPECT_EQ(want.scale[0], 0.0f);
  EXPECT_EQ(want.scale[1], 0.0f);
  EXPECT_TRUE(std::isnan(want.scale[4]));  // a broken row shows
  EXPECT_TRUE(std::isnan(want.scale[5]));
  for (size_t i = 0; i < x.size(); ++i) {
    const float s = want.scale[i / 32];
    if (s > 0)
      EXPECT_NEAR(want.q[i] * s, x[i], 0.5001f * s) << i;
    else
      EXPECT_EQ(want.q[i], 0);
  }
  for (size_t h = 0; h < want.sum16.size(); ++h) {
    int sum = 0;
    for (size_t i = 0; i < 16; ++i) sum += want.q[16 * h + i];
    EXPECT_EQ(want.sum16[h], sum);
  }
  for (const Candidate& c : candidates()) {
    const Rows got = quantise(*c.table, DType::q8_0, x, rows, k);
    EXPECT_EQ(want.q, got.q) << c.how;
    EXPECT_TRUE(same_bits(want.scale, got.scale)) << c.how;
    EXPECT_EQ(want.sum16, got.sum16) << c.how;
  }
}

TEST(QuantiseTiles, EveryTableGivesTheBitsOfScalarAndSmallGroupsAreFiner) {
  std::mt19937 rng(31);
  const int64_t rows = 2, k = 1536;
  auto x = random_floats(rows * k, rng);
  for (size_t i = 0; i < 256; ++i) {
    x[i] *= i / 32 == 3 ? 64.0f : 0.5f;           // one group far larger than the others
    x[256 + i] = 0.0f;                            // nothing at all
    x[512 + i] = 1e-41f * static_cast<float>(i);  // 127 / amax overflows
    x[768 + i] = i / 32 == 0 ? 3e38f : 1e-3f;
  }
  x[1030] = std::numeric_limits<float>::quiet_NaN();
  x[1300] = -std::numeric_limits<float>::infinity();
  const Rows want = quantise(*scalar_table(), DType::q4_k, x, rows, k);
  EXPECT_EQ(want.scale[1], 0.0f);
  EXPECT_EQ(want.scale[2], 0.0f);
  EXPECT_TRUE(std::isnan(want.scale[4]));  // a broken row shows
  EXPECT_TRUE(std::isnan(want.scale[5]));
  EXPECT_EQ(want.factor[3], 8);
  EXPECT_EQ(want.factor[2], 1);
  for (int64_t t = 0; t < rows * k / kTileK; ++t) {
    float amax = 0;
    for (int64_t i = t * kTileK; i < (t + 1) * kTileK; ++i) amax = std::max(amax, std::abs(x[static_cast<size_t>(i)]));
    const float s = want.scale[static_cast<size_t>(t)];
    for (int64_t g = t * 8; g < t * 8 + 8; ++g) {
      float own = 0;
      int32_t half[2] = {};
      for (int64_t i = g * kGroup; i < (g + 1) * kGroup; ++i) {
        const auto at = static_cast<size_t>(i);
        own = std::max(own, std::abs(x[at]));
        half[i % kGroup / 16] += want.q[at];
        if (s > 0)
          ASSERT_NEAR(want.value(i), x[at], 0.5001 * s * want.factor[at / kGroup]) << i;
        else
          ASSERT_EQ(want.q[at], 0) << i;
      }
      const int factor = want.factor[static_cast<size_t>(g)];
      if (s > 0) {
        const double eighths = 8.0 * own / amax;
        EXPECT_LE(eighths, factor + 1e-5) << "group " << g;
        EXPECT_TRUE(factor == 1 || eighths > factor - 1 - 1e-5) << "group " << g;
      }
      EXPECT_EQ(want.pair16[static_cast<size_t>(g)], ((half[0] * factor) & 0xFFFF) | static_cast<int32_t>(static_cast<uint32_t>(half[1] * factor) << 16)) << g;
      const int32_t both = (half[0] + half[1]) * factor, word = want.pair32[static_cast<size_t>(g / 2)];
      EXPECT_EQ(static_cast<int16_t>(g % 2 == 0 ? word & 0xFFFF : word >> 16), both) << g;
    }
  }
  for (const Candidate& c : candidates()) {
    const Rows got = quantise(*c.table, DType::q4_k, x, rows, k);
    EXPECT_EQ(want.q, got.q) << c.how;
    EXPECT_TRUE(same_bits(want.scale, got.scale)) << c.how;
    EXPECT_EQ(want.factor, got.factor) << c.how;
    EXPECT_EQ(want.sum16, got.sum16) << c.how;
    EXPECT_EQ(want.pair16, got.pair16) << c.how;
    EXPECT_EQ(want.pair32, got.pair32) << c.how;
  }
}

TEST(MatmulQuant, ScalarAgreesWithDoubles) {
  std::mt19937 rng(4);
  for (const DType type : kQuantTypes)
    for (const int64_t k : {64, 256, 704, 1280}) {
      if (k % info(type).block_elems != 0) continue;
      const int64_t n = 19, rows = 5;
      const auto w = make_rows(type, n, k, rng);
      const Panels p = pack(type, w, n, k);
      const Rows x = quantise(*scalar_table(), type, random_floats(rows * k, rng), rows, k);
      const float w_scale = type == DType::nvfp4 ? 0.37f : 1.0f;
      const auto out = multiply(*scalar_table(), type, p, n, x.view, w_scale);
      for (int64_t i = 0; i < n; ++i) {
        std::vector<float> row(static_cast<size_t>(k));
        dequantise(type, w.data() + i * row_bytes(type, k), row.data(), k);
        for (int64_t r = 0; r < rows; ++r) {
          double sum = 0, magnitude = 1e-30;
          for (int64_t j = 0; j < k; ++j) {
            const double term = static_cast<double>(row[static_cast<size_t>(j)]) * x.value(r * k + j) * w_scale;
            sum += term;
            magnitude += std::abs(term);
          }
          ASSERT_NEAR(out[static_cast<size_t>(r * (n + 3) + i)], sum, 1e-5 * magnitude) << info(type).name << " k=" << k << " output " << i << " row " << r;
        }
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = n; j < n + 3; ++j) ASSERT_EQ(out[static_cast<size_t>(r * (n + 3) + j)], kSentinel) << "a column beyond n was written";
    }
}

class MatmulQuantTypes : public ::testing::TestWithParam<DType> {};

TEST_P(MatmulQuantTypes, EveryTableGivesTheBitsOfScalar) {
  const DType type = GetParam();
  std::mt19937 rng(5);
  int64_t rows = 0;
  for (const int64_t k : {32, 64, 96, 256, 288, 640, 704, 2112, 1024})
    for (const int64_t n : {1, 16, 33, 50})
      for (const Fill fill : {Fill::random, Fill::largest, Fill::zero}) {
        if (k % info(type).block_elems != 0) continue;
        rows = rows % 20 + 1;  // 1..20, all of them in turn
        const Panels p = pack(type, make_rows(type, n, k, rng, fill), n, k);
        const auto activations = fill == Fill::largest ? extreme_activations(rows * k, rng) : random_floats(rows * k, rng, 4.0f);
        const Rows x = quantise(*scalar_table(), type, activations, rows, k);
        const auto want = multiply(*scalar_table(), type, p, n, x.view, 0.7f);
        for (const Candidate& c : candidates())
          ASSERT_TRUE(same_bits(want, multiply(*c.table, type, p, n, x.view, 0.7f)))
              << c.how << " k=" << k << " n=" << n << " rows=" << rows << " fill " << static_cast<int>(fill);
      }
}

TEST_P(MatmulQuantTypes, ARowDoesNotDependOnItsNeighbours) {
  const DType type = GetParam();
  std::mt19937 rng(6);
  const int64_t k = 512, n = 40, rows = 100;
  const Panels p = pack(type, make_rows(type, n, k, rng), n, k);
  const auto activations = random_floats(rows * k, rng);
  const Rows x = quantise(*scalar_table(), type, activations, rows, k);
  std::vector<Candidate> all = candidates();
  all.push_back({scalar_table(), "scalar"});
  for (const Candidate& c : all) {
    const auto together = multiply(*c.table, type, p, n, x.view);
    for (int64_t r = 0, some = 1; r < rows; r += some, some = some % 13 + 1) {
      if (r + some > rows) some = rows - r;
      const QuantRows part = rows_of(x.view, r, some);
      const auto alone = multiply(*c.table, type, p, n, part);
      ASSERT_EQ(std::memcmp(alone.data(), together.data() + r * (n + 3), alone.size() * sizeof(float)), 0) << c.how << " rows " << r << " + " << some;
    }
  }
}

TEST_P(MatmulQuantTypes, PanelsMayBeSplitBetweenCalls) {
  const DType type = GetParam();
  std::mt19937 rng(7);
  const int64_t k = 256, n = 16 * 7 - 5, rows = 7;
  const Panels p = pack(type, make_rows(type, n, k, rng), n, k);
  const Rows x = quantise(*scalar_table(), type, random_floats(rows * k, rng), rows, k);
  for (const Candidate& c : candidates()) {
    const auto want = multiply(*scalar_table(), type, p, n, x.view);
    std::vector<float> got(want.size(), kSentinel);
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 3}, {3, 4}, {4, 7}})
      c.table->matmul_quant(
          {.dtype = type, .panels = p.bytes.data(), .n = n, .panel_begin = begin, .panel_end = end, .x = x.view, .out = got.data(), .ldo = n + 3});
    ASSERT_TRUE(same_bits(want, got)) << c.how;
    // Panels 3 to 7 into a block of their own, which begins with their first output.
    const int64_t column = 3 * kLanes, columns = n - column;
    std::vector<float> block(static_cast<size_t>(rows * columns), kSentinel);
    c.table->matmul_quant({.dtype = type,
                           .panels = p.bytes.data(),
                           .n = n,
                           .panel_begin = 3,
                           .panel_end = 7,
                           .x = x.view,
                           .out = block.data(),
                           .ldo = columns,
                           .column0 = column});
    for (int64_t r = 0; r < rows; ++r)
      ASSERT_EQ(std::memcmp(block.data() + r * columns, want.data() + r * (n + 3) + column, static_cast<size_t>(columns) * sizeof(float)), 0)
          << c.how << " row " << r;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MatmulQuantTypes, ::testing::ValuesIn(kQuantTypes), [](const auto& i) { return std::string(carat::info(i.param).name); });

std::vector<float> multiply_dense(const KernelTable& t, DType type, const Panels& p, int64_t n, const std::vector<float>& x, int64_t ldx, int64_t rows,
                                  int64_t k) {
  const int64_t ldo = n + 3;
  std::vector<float> out(static_cast<size_t>(rows * ldo), kSentinel);
  t.matmul_dense({.dtype = type,
                  .panels = p.bytes.data(),
                  .n = n,
                  .panel_begin = 0,
                  .panel_end = p.count,
                  .x = x.data(),
                  .ldx = ldx,
                  .rows = rows,
                  .k = k,
                  .out = out.data(),
                  .ldo = ldo});
  return out;
}

TEST(MatmulDense, ScalarAgreesWithDoublesAndEveryTableWithScalar) {
  std::mt19937 rng(8);
  int64_t rows = 0;
  for (const DType type : kDenseTypes)
    for (const int64_t k : {1, 7, 64, 300})
      for (const int64_t n : {1, 15, 16, 48, 129}) {
        rows = rows % 20 + 1;
        const int64_t ldx = k + 5;
        const auto w = make_rows(type, n, k, rng);
        const Panels p = pack(type, w, n, k);
        const auto x = random_floats(rows * ldx, rng);
        const auto want = multiply_dense(*scalar_table(), type, p, n, x, ldx, rows, k);
        for (int64_t i = 0; i < n; ++i) {
          std::vector<float> row(static_cast<size_t>(k));
          dequantise(type, w.data() + i * row_bytes(type, k), row.data(), k);
          for (int64_t r = 0; r < rows; ++r) {
            double sum = 0, magnitude = 1e-30;
            for (int64_t j = 0; j < k; ++j) {
              const double term = static_cast<double>(row[static_cast<size_t>(j)]) * x[static_cast<size_t>(r * ldx + j)];
              sum += term;
              magnitude += std::abs(term);
            }
            ASSERT_NEAR(want[static_cast<size_t>(r * (n + 3) + i)], sum, 1e-5 * magnitude) << info(type).name << " k=" << k;
          }
        }
        for (const Candidate& c : candidates())
          ASSERT_TRUE(same_bits(want, multiply_dense(*c.table, type, p, n, x, ldx, rows, k)))
              << c.how << " " << info(type).name << " k=" << k << " n=" << n << " rows=" << rows;
      }
}

TEST(MatmulDense, ABlockOfOutputsMayStandByItself) {
  std::mt19937 rng(10);
  const int64_t k = 33, n = 75, rows = 9, column = 2 * kLanes, columns = n - column;
  for (const DType type : kDenseTypes) {
    const Panels p = pack(type, make_rows(type, n, k, rng), n, k);
    const auto x = random_floats(rows * k, rng);
    for (const Candidate& c : candidates()) {
      const auto whole = multiply_dense(*c.table, type, p, n, x, k, rows, k);
      std::vector<float> block(static_cast<size_t>(rows * columns), kSentinel);
      c.table->matmul_dense({.dtype = type,
                             .panels = p.bytes.data(),
                             .n = n,
                             .panel_begin = 2,
                             .panel_end = p.count,
                             .x = x.data(),
                             .ldx = k,
                             .rows = rows,
                             .k = k,
                             .out = block.data(),
                             .ldo = columns,
                             .column0 = column});
      for (int64_t r = 0; r < rows; ++r)
        ASSERT_EQ(std::memcmp(block.data() + r * columns, whole.data() + r * (n + 3) + column, static_cast<size_t>(columns) * sizeof(float)), 0) << c.how;
    }
  }
}

TEST(MatmulDense, ARowDoesNotDependOnItsNeighbours) {
  std::mt19937 rng(9);
  const int64_t k = 96, n = 80, rows = 33;
  for (const DType type : kDenseTypes) {
    const Panels p = pack(type, make_rows(type, n, k, rng), n, k);
    const auto x = random_floats(rows * k, rng);
    for (const Candidate& c : candidates()) {
      const auto together = multiply_dense(*c.table, type, p, n, x, k, rows, k);
      for (int64_t r = 0; r < rows; ++r) {
        const std::vector<float> one(x.begin() + r * k, x.begin() + (r + 1) * k);
        const auto alone = multiply_dense(*c.table, type, p, n, one, k, 1, k);
        ASSERT_EQ(std::memcmp(alone.data(), together.data() + r * (n + 3), alone.size() * sizeof(float)), 0) << c.how << " row " << r;
      }
    }
  }
}

}  // namespace
}  // namespace carat::kernels
