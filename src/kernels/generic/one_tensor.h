#pragma once
// Layers whose K equals V before norm and rope (kernels.h, OneTensor): the turned dims of a tile rebuilt, and the output from tiles [head_dim][32].
#include <cstddef>
#include <cstdint>

#include "kernels/generic/elementwise.h"
#include "kernels/generic/unroll.h"
#include "kernels/kernels.h"

namespace carat::kernels {

// The visible part of a row, counted from the split's first position. Nothing visible: begin == end.
struct Visible {
  int32_t begin, end;
};

template <class S, bool F16>
[[gnu::always_inline]] inline typename S::F32 load_kv(const std::byte* tile, int64_t index) {
  if constexpr (F16)
    return S::load_f16(tile + 2 * index);
  else
    return S::load(reinterpret_cast<const float*>(tile) + index);
}

// q in the order of the scores: (q_i, q_{i + half}) for turned i, then the others times their norm weight.
template <class S>
void order_query(const float* q, const float* w, int64_t pairs, int64_t head_dim, float* out) {
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    out[2 * i] = q[i];
    out[2 * i + 1] = q[i + half];
  }
  mul<S>(q + pairs, w + pairs, half - pairs, out + 2 * pairs);
  mul<S>(q + half + pairs, w + half + pairs, half - pairs, out + half + pairs);
}

// turned: [2 * pairs][32]: K_i, K_{i + half}, K_{i+1}, ... of 32 positions. `index` is the tile's number, counted from position 0.
template <class S, bool F16>
void turn_tile(const OneTensor& one, const std::byte* tile, int64_t index, int64_t head_dim, float* turned) {
  const int64_t half = head_dim / 2, pairs = one.rotary_pairs;
  for (int64_t i = 0; i < pairs; ++i) {
    const auto cb = S::set1(one.cos_base[index * pairs + i]), sb = S::set1(one.sin_base[index * pairs + i]);
    const auto wa = S::set1(one.w[i]), wb = S::set1(one.w[i + half]);
    for (int64_t j = 0; j < kTilePositions; j += kLanes) {
      const auto co = S::load(one.cos_offset + i * kTilePositions + j), so = S::load(one.sin_offset + i * kTilePositions + j);
      const auto c = S::sub(S::mul(cb, co), S::mul(sb, so)), s = S::add(S::mul(sb, co), S::mul(cb, so));
      const auto a = S::mul(wa, load_kv<S, F16>(tile, i * kTilePositions + j));
      const auto b = S::mul(wb, load_kv<S, F16>(tile, (i + half) * kTilePositions + j));
      S::store(turned + 2 * i * kTilePositions + j, S::sub(S::mul(a, c), S::mul(b, s)));
      S::store(turned + (2 * i + 1) * kTilePositions + j, S::add(S::mul(b, c), S::mul(a, s)));
    }
  }
}

// 16 head dims of R rows: sums[r][d] are 16 strided lanes over the positions, ascending; then the tree.
template <class S, bool F16, int R>
[[gnu::noinline]] void one_output_block(const std::byte* const* tiles, int64_t d0, int64_t dims, const float* const* rows_p, const Visible* seen,
                                        float* const* o) {
  constexpr int D = S::kOneDims;  // dims in registers at a time
  typename S::F32 lanes[R][kLanes];
  const float* p[R];
  int32_t first = seen[0].begin, last = seen[0].end;          // any row sees
  int32_t all_first = seen[0].begin, all_last = seen[0].end;  // every row sees
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    p[r] = rows_p[r];
    if (seen[r].begin < first) first = seen[r].begin;
    if (seen[r].end > last) last = seen[r].end;
    if (seen[r].begin > all_first) all_first = seen[r].begin;
    if (seen[r].end < all_last) all_last = seen[r].end;
    for (int d = 0; d < kLanes; ++d) lanes[r][d] = S::zero();
  }
  for (int64_t d = 0; d < dims; d += D) {
    const int64_t left = dims - d;  // a short block repeats its last dim and drops the copies
    int64_t row[D];
#pragma GCC unroll 4
    for (int i = 0; i < D; ++i) row[i] = (d0 + d + (i < left ? i : left - 1)) * kTilePositions;
    typename S::F32 sum[R][D];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < D; ++i) sum[r][i] = S::zero();
    for (int32_t pos = first / kLanes * kLanes; pos < last; pos += kLanes) {
      const std::byte* tile = tiles[pos / kTilePositions];
      if (tile == nullptr) continue;
      const int64_t at = pos % kTilePositions;
      typename S::F32 n[D];
#pragma GCC unroll 4
      for (int i = 0; i < D; ++i) n[i] = load_kv<S, F16>(tile, row[i] + at);
      if (all_first <= pos && pos + kLanes <= all_last) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const auto w = S::load(p[r] + pos);
#pragma GCC unroll 4
          for (int i = 0; i < D; ++i) sum[r][i] = S::fma(w, n[i], sum[r][i]);
        }
        continue;
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const auto w = S::load(p[r] + pos);
        const auto mask = S::range(seen[r].begin - pos, seen[r].end - pos);
#pragma GCC unroll 4
        for (int i = 0; i < D; ++i) sum[r][i] = S::select(mask, S::fma(w, n[i], sum[r][i]), sum[r][i]);
      }
    }
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < D && i < left; ++i) lanes[r][d + i] = sum[r][i];
  }
  for (int r = 0; r < R; ++r) S::store_n(o[r] + d0, S::reduce_add16(lanes[r]), dims);
}

template <class S, bool F16, int R = S::kOneRows>
void one_output(const std::byte* const* tiles, int64_t head_dim, const float* const* p, const Visible* seen, float* const* o, int64_t rows) {
  int64_t r = 0;
  for (; r + R <= rows; r += R)
    for (int64_t d = 0; d < head_dim; d += kLanes) one_output_block<S, F16, R>(tiles, d, head_dim - d < kLanes ? head_dim - d : kLanes, p + r, seen + r, o + r);
  if constexpr (R > 1)
    if (r < rows) one_output<S, F16, R / 2>(tiles, head_dim, p + r, seen + r, o + r, rows - r);
}

}  // namespace carat::kernels
