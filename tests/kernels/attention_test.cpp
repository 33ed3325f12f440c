#include <memory>

#include "kernel_cases.h"

namespace carat::kernels {
namespace {

// A cache of one kv head with the rows that look into it.
struct Case {
  DType dtype = DType::f16;
  int32_t head_dim = 0, rows = 0, positions = 0;
  int64_t pairs = 0;  // one tensor if > 0
  bool one = false;
  std::vector<std::vector<float>> k, v;  // [position][head_dim], as given (one tensor: v = n)
  std::vector<std::vector<float>> q;
  std::vector<int32_t> lo, hi;
  std::vector<std::vector<std::byte>> k_tiles, v_tiles;
  std::vector<float> w, cos_base, sin_base, cos_offset, sin_offset;
};

// What a q8 cache keeps of a head: groups of 32 with a scale.
void round_q8(std::vector<float>& x) {
  for (size_t g = 0; g < x.size(); g += 32) {
    float largest = 0;
    for (size_t i = g; i < g + 32; ++i) largest = std::max(largest, std::fabs(x[i]));
    for (size_t i = g; i < g + 32; ++i) x[i] = largest / 127.0f * std::nearbyint(x[i] * (127.0f / largest));
  }
}

int64_t tile_bytes_of(DType dtype, int64_t head_dim) {
  return kTilePositions * (dtype == DType::q8_0 ? head_dim + head_dim / 32 * 4 : head_dim * (dtype == DType::f16 ? 2 : 4));
}

Case make_case(const KernelTable& t, DType dtype, int32_t head_dim, int32_t rows, int32_t positions, bool one, uint32_t seed) {
  Case c;
  std::mt19937 rng(seed);
  c.dtype = dtype;
  c.head_dim = head_dim;
  c.rows = rows;
  c.positions = positions;
  c.one = one;
  c.pairs = one ? head_dim / 8 : 0;
  for (int32_t r = 0; r < rows; ++r) {
    c.q.push_back(random_floats(head_dim, rng, 2.0f / std::sqrt(static_cast<float>(head_dim))));  // scores of a few units
    int32_t a = static_cast<int32_t>(rng() % static_cast<uint32_t>(positions)), b = static_cast<int32_t>(rng() % static_cast<uint32_t>(positions + 1));
    if (a > b) std::swap(a, b);
    switch (rng() % 4) {
      case 0: c.lo.push_back(a), c.hi.push_back(b); break;  // anything, also nothing
      case 1: c.lo.push_back(0), c.hi.push_back(positions); break;
      case 2: c.lo.push_back(0), c.hi.push_back(std::max(1, positions - rows + r)); break;  // causal
      default: c.lo.push_back(std::max(0, positions - 100 + r)), c.hi.push_back(std::min(positions, positions - 20 + r)); break;
    }
  }
  const int64_t tile_bytes = tile_bytes_of(dtype, head_dim);
  // Unwritten positions keep 0xFF bytes, which is NaN in both types.
  c.k_tiles.assign(static_cast<size_t>((positions + kSplit - 1) / kSplit * 8), std::vector<std::byte>(static_cast<size_t>(tile_bytes), std::byte{0xFF}));
  c.v_tiles = c.k_tiles;
  for (int32_t p = 0; p < positions; ++p) {
    c.k.push_back(random_floats(head_dim, rng));
    c.v.push_back(one ? c.k.back() : random_floats(head_dim, rng));
    bool seen = false;
    for (int32_t r = 0; r < rows; ++r) seen = seen || (c.lo[static_cast<size_t>(r)] <= p && p < c.hi[static_cast<size_t>(r)]);
    if (!seen) continue;  // nobody looks: stays NaN
    const auto tile = static_cast<size_t>(p / kTilePositions);
    t.store_k(c.k.back().data(), head_dim, dtype, p % kTilePositions, c.k_tiles[tile].data());
    if (!one) t.store_v(c.v.back().data(), head_dim, dtype, p % kTilePositions, c.v_tiles[tile].data());
    if (dtype == DType::q8_0) round_q8(c.k.back()), round_q8(c.v.back());
  }
  if (one) {
    c.w = random_floats(head_dim, rng);
    const auto pairs = static_cast<size_t>(c.pairs);
    for (size_t tile = 0; tile < c.k_tiles.size(); ++tile)
      for (size_t i = 0; i < pairs; ++i) {
        const double angle = 32.0 * static_cast<double>(tile) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
        c.cos_base.push_back(static_cast<float>(std::cos(angle)));
        c.sin_base.push_back(static_cast<float>(std::sin(angle)));
      }
    for (size_t i = 0; i < pairs; ++i)
      for (int j = 0; j < 32; ++j) {
        const double angle = j * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs));
        c.cos_offset.push_back(static_cast<float>(std::cos(angle)));
        c.sin_offset.push_back(static_cast<float>(std::sin(angle)));
      }
  }
  return c;
}

struct Result {
  std::vector<float> m, l, o;  // all splits: [split][row], o [split][row][head_dim]; then the merged outputs
};

// Every split for rows [row0, row0 + rows), then merged and finished.
Result attend(const KernelTable& t, const Case& c, int32_t row0, int32_t rows) {
  Result result;
  const auto n = static_cast<size_t>(rows);
  const auto dim = static_cast<size_t>(c.head_dim);
  std::vector<float> scratch(static_cast<size_t>(attend_scratch_floats(rows, c.head_dim, c.dtype)));
  std::vector<float> final_o(n * dim, 5.0f), final_m(n, -std::numeric_limits<float>::infinity()), final_l(n, 0.0f);
  const OneTensor one{c.w.data(), static_cast<int32_t>(c.pairs), c.cos_base.data(), c.sin_base.data(), c.cos_offset.data(), c.sin_offset.data()};
  for (int32_t split = 0; split * kSplit < c.positions; ++split) {
    std::vector<float> m(n), l(n), o(n * dim, 7.0f);
    std::vector<const float*> q;
    std::vector<float*> out;
    for (size_t r = 0; r < n; ++r) {
      q.push_back(c.q[static_cast<size_t>(row0) + r].data());
      out.push_back(o.data() + r * dim);
    }
    const std::byte *k[8], *v[8];
    for (int32_t i = 0; i < 8; ++i) {
      bool seen = false;
      const int32_t first = split * kSplit + i * kTilePositions;
      for (int32_t r = row0; r < row0 + rows; ++r) seen = seen || (c.lo[static_cast<size_t>(r)] < first + 32 && c.hi[static_cast<size_t>(r)] > first);
      k[i] = seen ? c.k_tiles[static_cast<size_t>(split * 8 + i)].data() : nullptr;
      v[i] = seen && !c.one ? c.v_tiles[static_cast<size_t>(split * 8 + i)].data() : nullptr;
    }
    t.attend_split({.kv_dtype = c.dtype,
                    .head_dim = c.head_dim,
                    .rows = rows,
                    .q = q.data(),
                    .lo = c.lo.data() + row0,
                    .hi = c.hi.data() + row0,
                    .split = split,
                    .k_tiles = k,
                    .v_tiles = v,
                    .one = c.one ? &one : nullptr,
                    .m = m.data(),
                    .l = l.data(),
                    .o = out.data(),
                    .scratch = scratch.data()});
    for (size_t r = 0; r < n; ++r) t.attend_merge(m[r], l[r], out[r], c.head_dim, &final_m[r], &final_l[r], final_o.data() + r * dim);
    result.m.insert(result.m.end(), m.begin(), m.end());
    result.l.insert(result.l.end(), l.begin(), l.end());
    result.o.insert(result.o.end(), o.begin(), o.end());
  }
  for (size_t r = 0; r < n; ++r) t.attend_finish(final_l[r], c.head_dim, final_o.data() + r * dim);
  result.o.insert(result.o.end(), final_o.begin(), final_o.end());
  return result;
}

double rounded(float x, DType t) { return t == DType::f16 ? f16_to_f32(f32_to_f16(x)) : x; }

// Softmax attention in doubles over the whole range of a row.
std::vector<double> naive(const Case& c, size_t r) {
  const auto dim = static_cast<size_t>(c.head_dim), half = dim / 2, pairs = static_cast<size_t>(c.pairs);
  std::vector<double> out(dim, 0.0);
  std::vector<double> scores;
  double top = -1e300, sum = 0;
  for (int32_t p = c.lo[r]; p < c.hi[r]; ++p) {
    std::vector<double> key(dim);
    for (size_t d = 0; d < dim; ++d) key[d] = rounded(c.k[static_cast<size_t>(p)][d], c.dtype) * (c.one ? c.w[d] : 1.0f);
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = p * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(pairs)), a = key[i], b = key[i + half];
      key[i] = a * std::cos(angle) - b * std::sin(angle);
      key[i + half] = b * std::cos(angle) + a * std::sin(angle);
    }
    double s = 0;
    for (size_t d = 0; d < dim; ++d) s += key[d] * c.q[r][d];
    scores.push_back(s);
    top = std::max(top, s);
  }
  for (double& s : scores) sum += s = std::exp(s - top);
  for (size_t i = 0; i < scores.size(); ++i)
    for (size_t d = 0; d < dim; ++d) out[d] += scores[i] / sum * rounded(c.v[static_cast<size_t>(c.lo[r]) + i][d], c.dtype);
  return out;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  uint32_t seed = 20;
  for (const DType dtype : {DType::f16, DType::f32, DType::q8_0})
    for (const bool one : {false, true})
      for (const auto& [dim, rows, positions] :
           {std::array<int32_t, 3>{64, 1, 1}, {72, 3, 40}, {128, 8, 300}, {256, 19, 600}, {18, 5, 257}, {512, 9, 520}, {32, 90, 260}}) {
        if (one && dim % 16 != 0) continue;
        if (dtype == DType::q8_0 && dim % 32 != 0) continue;
        list.push_back(make_case(*scalar_table(), dtype, dim, rows, positions, one, seed++));
      }
  return list;
}

TEST(Attention, ScalarAgreesWithDoubles) {
  for (const Case& c : cases()) {
    const Result got = attend(*scalar_table(), c, 0, c.rows);
    const size_t dim = static_cast<size_t>(c.head_dim), base = got.o.size() - static_cast<size_t>(c.rows) * dim;
    for (size_t r = 0; r < static_cast<size_t>(c.rows); ++r) {
      const auto want = naive(c, r);
      for (size_t d = 0; d < dim; ++d)
        ASSERT_NEAR(got.o[base + r * dim + d], want[d], 2e-5)
            << "head_dim " << dim << " row " << r << " [" << c.lo[r] << ", " << c.hi[r] << ") one tensor " << c.one;
    }
  }
}

TEST(Attention, EveryTableGivesTheBitsOfScalar) {
  for (const Case& c : cases()) {
    const Result want = attend(*scalar_table(), c, 0, c.rows);
    for (const Candidate& t : candidates()) {
      const Result got = attend(*t.table, c, 0, c.rows);
      ASSERT_TRUE(same_bits(want.m, got.m)) << t.how;
      ASSERT_TRUE(same_bits(want.l, got.l)) << t.how;
      ASSERT_TRUE(same_bits(want.o, got.o)) << t.how << " head_dim " << c.head_dim << " one tensor " << c.one;
    }
  }
}

TEST(Attention, ARowDoesNotDependOnItsNeighbours) {
  std::vector<Candidate> all = candidates();
  all.push_back({scalar_table(), "scalar"});
  for (const Case& c : cases()) {
    for (const Candidate& t : all) {
      const size_t dim = static_cast<size_t>(c.head_dim);
      const Result together = attend(*t.table, c, 0, c.rows);
      const float* final_o = together.o.data() + together.o.size() - static_cast<size_t>(c.rows) * dim;
      for (int32_t r = 0, some = 1; r < c.rows; r += some, some = some % 6 + 1) {
        if (r + some > c.rows) some = c.rows - r;
        const Result alone = attend(*t.table, c, r, some);
        const size_t n = static_cast<size_t>(some) * dim;
        ASSERT_EQ(std::memcmp(alone.o.data() + alone.o.size() - n, final_o + static_cast<size_t>(r) * dim, n * sizeof(float)), 0)
            << t.how << " rows " << r << " + " << some;
      }
    }
  }
}

TEST(Attention, NothingVisibleLeavesTheOutputAlone) {
  for (const Candidate& t : candidates()) {
    std::vector<float> q(64, 1.0f), o(64, 3.0f), scratch(static_cast<size_t>(attend_scratch_floats(1, 64, DType::f32)));
    const float* qs[] = {q.data()};
    float* os[] = {o.data()};
    const int32_t lo[] = {300}, hi[] = {310};
    const std::byte* tiles[8] = {};
    float m = 0, l = 1;
    t.table->attend_split({.kv_dtype = DType::f16,
                           .head_dim = 64,
                           .rows = 1,
                           .q = qs,
                           .lo = lo,
                           .hi = hi,
                           .split = 0,
                           .k_tiles = tiles,
                           .v_tiles = tiles,
                           .one = nullptr,
                           .m = &m,
                           .l = &l,
                           .o = os,
                           .scratch = scratch.data()});
    EXPECT_EQ(m, -std::numeric_limits<float>::infinity());
    EXPECT_EQ(l, 0.0f);
    for (const float v : o) EXPECT_EQ(v, 3.0f);
    t.table->attend_finish(0.0f, 64, o.data());
    for (const float v : o) EXPECT_EQ(v, 0.0f);
  }
}

TEST(Attention, StoredPositionsAreRoundedToNearestEven) {
  std::mt19937 rng(30);
  for (const int64_t dim : {18, 64, 72, 256}) {
    auto x = random_floats(dim, rng);
    x[0] = 1e-7f, x[1] = 70000.0f, x[2] = -65519.0f, x[3] = 1.00048828125f, x[4] = 5.9604645e-8f * 1.5f;
    std::vector<Candidate> all = candidates();
    all.push_back({scalar_table(), "scalar"});
    for (const Candidate& t : all)
      for (const DType dtype : {DType::f16, DType::f32}) {
        const int64_t item = dtype == DType::f16 ? 2 : 4;
        std::vector<std::byte> k(static_cast<size_t>(dim * 32 * item), std::byte{0xAA}), v = k;
        t.table->store_k(x.data(), dim, dtype, 5, k.data());
        t.table->store_v(x.data(), dim, dtype, 31, v.data());
        for (int64_t d = 0; d < dim; ++d) {
          const uint16_t half = f32_to_f16(x[static_cast<size_t>(d)]);
          const void* want = dtype == DType::f16 ? static_cast<const void*>(&half) : &x[static_cast<size_t>(d)];
          ASSERT_EQ(std::memcmp(k.data() + (d * 32 + 5) * item, want, static_cast<size_t>(item)), 0) << t.how << " d=" << d;
          ASSERT_EQ(std::memcmp(v.data() + (31 * dim + d) * item, want, static_cast<size_t>(item)), 0) << t.how << " d=" << d;
        }
        int64_t touched = 0;
        for (const auto b : k) touched += b != std::byte{0xAA} ? 1 : 0;
        EXPECT_LE(touched, dim * item);
      }
  }
}

TEST(Attention, StoredInQ8EveryTableKeepsTheSameBytes) {
  std::mt19937 rng(31);
  for (const int64_t dim : {32, 64, 256, 512}) {
    auto x = random_floats(dim, rng);
    x[0] = 1e-7f, x[1] = 70000.0f;
    if (dim > 32) std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
    const auto bytes = static_cast<size_t>(tile_bytes_of(DType::q8_0, dim));
    std::vector<std::byte> k(bytes, std::byte{0xAA}), v = k;
    scalar_table()->store_k(x.data(), dim, DType::q8_0, 5, k.data());
    scalar_table()->store_v(x.data(), dim, DType::q8_0, 31, v.data());
    auto want = x;
    round_q8(want);
    for (int64_t d = 0; d < dim; ++d) {
      float scale_k, scale_v;
      std::memcpy(&scale_k, k.data() + dim * 32 + (d / 32 * 32 + 5) * 4, 4);
      std::memcpy(&scale_v, v.data() + dim * 32 + (31 * (dim / 32) + d / 32) * 4, 4);
      const float expected = d >= 32 && d < 64 ? 0.0f : want[static_cast<size_t>(d)];
      ASSERT_EQ(scale_k * static_cast<float>(static_cast<int8_t>(k[static_cast<size_t>(d * 32 + 5)])), expected) << d;
      ASSERT_EQ(scale_v * static_cast<float>(static_cast<int8_t>(v[static_cast<size_t>(31 * dim + d)])), expected) << d;
    }
    for (const Candidate& t : candidates()) {
      std::vector<std::byte> tk(bytes, std::byte{0xAA}), tv = tk;
      t.table->store_k(x.data(), dim, DType::q8_0, 5, tk.data());
      t.table->store_v(x.data(), dim, DType::q8_0, 31, tv.data());
      ASSERT_EQ(std::memcmp(tk.data(), k.data(), bytes), 0) << t.how;
      ASSERT_EQ(std::memcmp(tv.data(), v.data(), bytes), 0) << t.how;
    }
  }
}

}  // namespace
}  // namespace carat::kernels
