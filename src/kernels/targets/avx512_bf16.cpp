// bf16 panels x activations rounded to bf16, by vdpbf16ps: what --fast-bf16 puts in the place of the exact product (docs/numerics.md). Not a whole table.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/targets.h"

namespace carat::kernels {
namespace {

constexpr int kRows = 8, kPanels = 3;  // of a register tile: 24 sums
constexpr int64_t kRowBlock = 32;      // rows that are rounded together
constexpr int64_t kStep = 512;         // k of a block: 32 KiB of rounded rows stay in the first cache
constexpr int64_t kAhead = 4096;       // bytes of a panel

struct Block {
  alignas(64) uint16_t x[kRowBlock][kStep];
  int64_t row0, rows;  // of `a`
  int64_t k0, k;       // [k0, k0 + k); what follows up to a multiple of 32 is 0
};

// Lanes of two successive k side by side: what was [2][16] becomes [16][2].
[[gnu::always_inline]] inline __m512i zip(__m512i two) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, two);
}

[[gnu::always_inline]] inline __mmask16 first16(int64_t n) { return static_cast<__mmask16>(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1); }

void round_rows(const DenseMatmul& a, Block& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const float* x = a.x + (b.row0 + r) * a.ldx + b.k0;
    for (int64_t k = 0; k < b.k; k += 32) {
      const __m512 low = _mm512_maskz_loadu_ps(first16(b.k - k), x + k), high = _mm512_maskz_loadu_ps(first16(b.k - k - 16), x + k + 16);
      _mm512_store_si512(b.x[r] + k, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
    }
  }
}

// Sums wait in `out` between two blocks of k: a stored f32 is the register's bits.
template <int R, int P>
[[gnu::noinline]] void tile(const DenseMatmul& a, const Block& b, int64_t panel, int64_t row) {
  const int64_t panel_size = a.k * kLanes * 2;
  const std::byte* w = a.panels + panel * panel_size + b.k0 * kLanes * 2;
  float* out = a.out + (b.row0 + row) * a.ldo + panel * kLanes - a.column0;
  __m512 sum[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
      sum[r][p] = b.k0 == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(first16(a.n - (panel + p) * kLanes), out + r * a.ldo + p * kLanes);
  const auto step = [&](int64_t k, __mmask32 there) __attribute__((always_inline)) {
    __m512bh weights[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const std::byte* at = w + p * panel_size + k * kLanes * 2;
      if constexpr (R == 1) _mm_prefetch(reinterpret_cast<const char*>(at + kAhead), _MM_HINT_T0);
      weights[p] = reinterpret_cast<__m512bh>(zip(_mm512_maskz_loadu_epi16(there, at)));
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int32_t pair;
      __builtin_memcpy(&pair, b.x[row + r] + k, 4);
      const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sum[r][p] = _mm512_dpbf16_ps(sum[r][p], weights[p], value);
    }
  };
  int64_t k = 0;
  for (; k + 2 <= b.k; k += 2) step(k, ~__mmask32{0});
  if (k < b.k) step(k, 0xFFFF);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) _mm512_mask_storeu_ps(out + r * a.ldo + p * kLanes, first16(a.n - (panel + p) * kLanes), sum[r][p]);
}

template <int R, int P>
void tiles(const DenseMatmul& a, const Block& b, int64_t panel, int64_t row) {
  for (; row + R <= b.rows; row += R) tile<R, P>(a, b, panel, row);
  if constexpr (R > 1)
    if (row < b.rows) tiles<R / 2, P>(a, b, panel, row);
}

}  // namespace

void matmul_bf16_avx512(const DenseMatmul& a) {
  Block b;
  for (b.row0 = 0; b.row0 < a.rows; b.row0 += kRowBlock) {
    b.rows = a.rows - b.row0 < kRowBlock ? a.rows - b.row0 : kRowBlock;
    for (b.k0 = 0; b.k0 < a.k; b.k0 += kStep) {
      b.k = a.k - b.k0 < kStep ? a.k - b.k0 : kStep;
      round_rows(a, b);
      int64_t p = a.panel_begin;
      for (; p + kPanels <= a.panel_end; p += kPanels) tiles<kRows, kPanels>(a, b, p, 0);
      for (; p < a.panel_end; ++p) tiles<kRows, 1>(a, b, p, 0);
    }
  }
}

}  // namespace carat::kernels
