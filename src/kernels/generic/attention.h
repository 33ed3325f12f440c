#pragma once
// One split (256 positions) of attention: scores with positions in lanes, softmax a row, output with head dims in lanes. Rows sit in registers.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/math.h"
#include "kernels/generic/one_tensor.h"
#include "kernels/generic/q8_tiles.h"
#include "kernels/kernels.h"

namespace carat::kernels {

inline constexpr int kTilesPerSplit = kSplit / kTilePositions;

template <class S>
[[gnu::always_inline]] inline Visible visible(const AttendSplit& a, int64_t row) {
  const int64_t first = static_cast<int64_t>(a.split) * kSplit;
  int64_t begin = a.lo[row] - first, end = a.hi[row] - first;
  if (begin < 0) begin = 0;
  if (end > kSplit) end = kSplit;
  if (end <= begin) return {0, 0};
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end)};
}

// Dims [d0, d0 + n) of a K tile into the scores of R rows. ahead: a tile of the same size that is wanted soon, fetched in step; null for none.
template <class S, bool F16, int R>
[[gnu::always_inline]] inline void score_dims(const std::byte* tile, int64_t d0, int64_t n, const float* const (&q)[R], int64_t q0,
                                              typename S::F32 (&sum)[R][2], const std::byte* ahead) {
  constexpr int64_t kBytes = kTilePositions * (F16 ? 2 : 4);
  for (int64_t i = 0; i < n; ++i) {
    typename S::F32 k[2];
    if constexpr (F16) {
      k[0] = S::load_f16(tile + (d0 + i) * kBytes);
      k[1] = S::load_f16(tile + (d0 + i) * kBytes + 32);
    } else {
      k[0] = S::load(reinterpret_cast<const float*>(tile) + (d0 + i) * kTilePositions);
      k[1] = S::load(reinterpret_cast<const float*>(tile) + (d0 + i) * kTilePositions + 16);
    }
    if (ahead != nullptr)
      for (int64_t b = 0; b < kBytes; b += 64) S::prefetch(ahead + (d0 + i) * kBytes + b);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto value = S::set1(q[r][q0 + i]);
      sum[r][0] = S::fma(k[0], value, sum[r][0]);
      sum[r][1] = S::fma(k[1], value, sum[r][1]);
    }
  }
}

// turned != null (one tensor): [2 * pairs][32] f32, and q holds the turned dims first, in that order.
template <class S, bool F16, int R>
[[gnu::noinline]] void score_tile(const std::byte* tile, const float* turned, int64_t pairs, int64_t head_dim, const float* const* rows_q, float* const* scores,
                                  const std::byte* ahead) {
  const float* q[R];
  typename S::F32 sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    q[r] = rows_q[r];
    sum[r][0] = S::zero();
    sum[r][1] = S::zero();
  }
  if (turned == nullptr) {
    score_dims<S, F16, R>(tile, 0, head_dim, q, 0, sum, ahead);
  } else {
    const int64_t half = head_dim / 2;
    score_dims<S, false, R>(reinterpret_cast<const std::byte*>(turned), 0, 2 * pairs, q, 0, sum, nullptr);
    score_dims<S, F16, R>(tile, pairs, half - pairs, q, 2 * pairs, sum, ahead);
    score_dims<S, F16, R>(tile, half + pairs, half - pairs, q, half + pairs, sum, ahead);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    S::store(scores[r], sum[r][0]);
    S::store(scores[r] + 16, sum[r][1]);
  }
}

template <class S, bool F16, int R>
void score_rows(const std::byte* tile, const float* turned, int64_t pairs, int64_t head_dim, const float* const* q, float* const* scores, int64_t rows,
                const std::byte* ahead) {
  int64_t r = 0;
  for (; r + R <= rows; r += R) {
    score_tile<S, F16, R>(tile, turned, pairs, head_dim, q + r, scores + r, ahead);
    ahead = nullptr;
  }
  if constexpr (R > 1)
    if (r < rows) score_rows<S, F16, R / 2>(tile, turned, pairs, head_dim, q + r, scores + r, rows - r, ahead);
}

// Scores -> weights in place (0 where invisible), the row's maximum and sum.
template <class S>
void split_softmax(float* scores, Visible seen, float* m, float* l) {
  const auto low = S::set1(-__builtin_inff());
  auto top = low;
  for (int i = 0; i < kSplit; i += kLanes) {
    const auto s = S::select(S::range(seen.begin - i, seen.end - i), S::load(scores + i), low);
    top = S::max(top, s);
  }
  *m = S::reduce_max(top);
  const auto max = S::set1(*m);
  auto sum = S::zero();
  for (int i = 0; i < kSplit; i += kLanes) {
    const auto p = S::select(S::range(seen.begin - i, seen.end - i), exp<S>(S::sub(S::load(scores + i), max)), S::zero());
    S::store(scores + i, p);
    sum = S::add(sum, p);
  }
  *l = S::reduce_add(sum);
}

// Positions [begin, end) of the split, ascending, into o[d0 ...] of R rows. ahead: a line (f32: two) to fetch at each position; null for none.
template <class S, bool F16, int R, int N>
[[gnu::always_inline]] inline void weigh(const std::byte* const* v_tiles, int64_t head_dim, int64_t d0, int64_t lanes, int32_t begin, int32_t end,
                                         const float* const (&p)[R], typename S::F32 (&sum)[R][N], const std::byte* ahead) {
  constexpr int64_t kBytes = kTilePositions * (F16 ? 2 : 4);
  for (int32_t pos = begin; pos < end;) {
    const int32_t t = pos / kTilePositions;
    const int32_t stop = (t + 1) * kTilePositions < end ? (t + 1) * kTilePositions : end;
    for (; pos < stop; ++pos) {
      const int64_t at = static_cast<int64_t>(pos % kTilePositions) * head_dim + d0;
      typename S::F32 v[N];
#pragma GCC unroll 4
      for (int i = 0; i < N; ++i) {
        if constexpr (F16)
          v[i] = lanes == kLanes ? S::load_f16(v_tiles[t] + 2 * (at + 16 * i)) : S::load_f16_n(v_tiles[t] + 2 * at, lanes);
        else
          v[i] = lanes == kLanes ? S::load(reinterpret_cast<const float*>(v_tiles[t]) + at + 16 * i)
                                 : S::load_n(reinterpret_cast<const float*>(v_tiles[t]) + at, lanes);
      }
      if (ahead != nullptr)
        for (int64_t b = 0; b < kBytes; b += 64) S::prefetch(ahead + pos * kBytes + b);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const auto w = S::set1(p[r][pos]);
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) sum[r][i] = S::fma(w, v[i], sum[r][i]);
      }
    }
  }
}

// N vectors of head dims for R rows: the positions all rows see together, what is before and after row by row. A row meets its positions in ascending order.
template <class S, bool F16, int R, int N>
[[gnu::noinline]] void output_block(const AttendSplit& a, int64_t d0, int64_t lanes, const float* const* rows_p, const Visible* seen, float* const* o,
                                    const std::byte* ahead) {
  const float* p[R];
  typename S::F32 sum[R][N];
  int32_t begin = seen[0].begin, end = seen[0].end;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    p[r] = rows_p[r];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) sum[r][i] = S::zero();
    if (seen[r].begin > begin) begin = seen[r].begin;
    if (seen[r].end < end) end = seen[r].end;
  }
  if (end < begin) end = begin;  // no position in common: [row.begin, begin) and [begin, row.end) still cover each row
  const auto alone = [&](auto r, int32_t from, int32_t to) __attribute__((always_inline)) {
    if (from >= to) return;
    const float* const one[1] = {p[r.value]};
    typename S::F32 part[1][N];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) part[0][i] = sum[r.value][i];
    weigh<S, F16, 1, N>(a.v_tiles, a.head_dim, d0, lanes, from, to, one, part, nullptr);
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) sum[r.value][i] = part[0][i];
  };
  unroll<R>([&](auto r) __attribute__((always_inline)) { alone(r, seen[r.value].begin, seen[r.value].end < begin ? seen[r.value].end : begin); });
  weigh<S, F16, R, N>(a.v_tiles, a.head_dim, d0, lanes, begin, end, p, sum, ahead);
  unroll<R>([&](auto r) __attribute__((always_inline)) { alone(r, seen[r.value].begin > end ? seen[r.value].begin : end, seen[r.value].end); });
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) {
      if (lanes == kLanes)
        S::store(o[r] + d0 + 16 * i, sum[r][i]);
      else
        S::store_n(o[r] + d0, sum[r][i], lanes);
    }
}

// A split's values are read across its positions, 32 dims at a time, which no hardware prefetcher follows: they are fetched while their keys are scored, and the
// keys of the split that comes next, as many bytes, while values are weighed: memory is asked evenly.
template <class S, bool F16, int R>
void output_rows(const AttendSplit& a, const float* const* p, const Visible* seen, float* const* o, int64_t rows, bool fetches) {
  int64_t r = 0;
  for (; r + R <= rows; r += R) {
    int64_t d = 0;
    for (; d + 2 * kLanes <= a.head_dim; d += 2 * kLanes) {
      const int64_t dims = d * kTilesPerSplit, tile = dims / a.head_dim;  // of the next split's keys: 256 lines a block
      const std::byte* next = fetches && a.next_k_tiles != nullptr ? a.next_k_tiles[tile] : nullptr;
      if (next != nullptr) next += (dims - tile * a.head_dim) * kTilePositions * (F16 ? 2 : 4);
      output_block<S, F16, R, 2>(a, d, kLanes, p + r, seen + r, o + r, next);
    }
    for (; d < a.head_dim; d += kLanes) output_block<S, F16, R, 1>(a, d, a.head_dim - d < kLanes ? a.head_dim - d : kLanes, p + r, seen + r, o + r, nullptr);
    fetches = false;
  }
  if constexpr (R > 1)
    if (r < rows) output_rows<S, F16, R / 2>(a, p + r, seen + r, o + r, rows - r, fetches);
}

template <class S, bool F16>
void attend_split_type(const AttendSplit& a) {
  // Scratch: weights [rows][256]; one tensor: turned tile [head_dim][32], q in score order [rows][head_dim].
  float* scores = a.scratch;
  float* turned = scores + static_cast<int64_t>(a.rows) * kSplit;
  float* ordered_q = turned + static_cast<int64_t>(a.head_dim) * kTilePositions;
  const int64_t pairs = a.one != nullptr ? a.one->rotary_pairs : 0;
  if (a.one != nullptr)
    for (int64_t r = 0; r < a.rows; ++r) order_query<S>(a.q[r], a.one->w, pairs, a.head_dim, ordered_q + r * a.head_dim);

  // Rows in batches, so that the lists of pointers have a fixed size.
  constexpr int kBatch = 64;
  const float* q[kBatch];
  float* weights[kBatch];
  float* o[kBatch];
  Visible seen[kBatch];
  for (int64_t row0 = 0; row0 < a.rows; row0 += kBatch) {
    const int64_t some = a.rows - row0 < kBatch ? a.rows - row0 : kBatch;
    int64_t rows = 0;
    int32_t begin = kSplit, end = 0;
    int64_t index[kBatch];
    for (int64_t r = row0; r < row0 + some; ++r) {
      const Visible v = visible<S>(a, r);
      if (v.begin == v.end) {
        a.m[r] = -__builtin_inff();
        a.l[r] = 0.0f;
        continue;
      }
      if (v.begin < begin) begin = v.begin;
      if (v.end > end) end = v.end;
      q[rows] = a.one != nullptr ? ordered_q + r * a.head_dim : a.q[r];
      weights[rows] = scores + r * kSplit;
      o[rows] = a.o[r];
      seen[rows] = v;
      index[rows++] = r;
    }
    if (rows == 0) continue;
    for (int t = begin / kTilePositions; t * kTilePositions < end; ++t) {
      if (a.k_tiles[t] == nullptr) continue;
      if (a.one != nullptr) turn_tile<S, F16>(*a.one, a.k_tiles[t], static_cast<int64_t>(a.split) * kTilesPerSplit + t, a.head_dim, turned);
      float* to[kBatch];
      for (int64_t r = 0; r < rows; ++r) to[r] = weights[r] + t * kTilePositions;
      score_rows<S, F16, S::kAttendRows>(a.k_tiles[t], a.one != nullptr ? turned : nullptr, pairs, a.head_dim, q, to, rows,
                                         a.one == nullptr         ? a.v_tiles[t]
                                         : t + 1 < kTilesPerSplit ? a.k_tiles[t + 1]
                                                                  : nullptr);
    }
    for (int64_t r = 0; r < rows; ++r) split_softmax<S>(weights[r], seen[r], a.m + index[r], a.l + index[r]);
    if (a.one != nullptr)
      one_output<S, F16>(a.k_tiles, a.head_dim, weights, seen, o, rows);
    else
      output_rows<S, F16, S::kAttendRows>(a, weights, seen, o, rows, row0 == 0);
  }
}

// The tiles of the split as f32, behind the scratch of attend_split_type.
template <class S>
void attend_split_q8(const AttendSplit& a) {
  const int64_t tile = static_cast<int64_t>(a.head_dim) * kTilePositions;
  float* f32 = a.scratch + a.rows * static_cast<int64_t>(kSplit + a.head_dim) + tile;
  const std::byte *k_tiles[kTilesPerSplit], *v_tiles[kTilesPerSplit];
  for (int t = 0; t < kTilesPerSplit; ++t) {
    k_tiles[t] = nullptr;
    v_tiles[t] = nullptr;
    if (a.k_tiles[t] == nullptr) continue;
    expand_q8_tile<S, true>(a.k_tiles[t], a.head_dim, f32);
    k_tiles[t] = reinterpret_cast<const std::byte*>(f32);
    f32 += tile;
    if (a.one != nullptr) continue;
    expand_q8_tile<S, false>(a.v_tiles[t], a.head_dim, f32);
    v_tiles[t] = reinterpret_cast<const std::byte*>(f32);
    f32 += tile;
  }
  AttendSplit wide = a;
  wide.kv_dtype = DType::f32;
  wide.k_tiles = k_tiles;
  wide.v_tiles = v_tiles;
  wide.next_k_tiles = nullptr;  // those are int8
  attend_split_type<S, false>(wide);
}

template <class S>
void attend_split(const AttendSplit& a) {
  if (a.kv_dtype == DType::f16)
    attend_split_type<S, true>(a);
  else if (a.kv_dtype == DType::q8_0)
    attend_split_q8<S>(a);
  else
    attend_split_type<S, false>(a);
}

template <class S>
void attend_merge(float ms, float ls, const float* os, int64_t head_dim, float* m, float* l, float* o) {
  const float none = -__builtin_inff();
  if (ms == none) return;
  if (*m == none) {
    *m = ms;
    *l = ls;
    for (int64_t d = 0; d < head_dim; ++d) o[d] = os[d];
    return;
  }
  const float top = *m > ms ? *m : ms;
  const auto a = exp<S>(S::set1(*m - top)), b = exp<S>(S::set1(ms - top));
  float sum[kLanes];
  S::store(sum, S::fma(S::set1(ls), b, S::mul(S::set1(*l), a)));
  *l = sum[0];
  *m = top;
  each2<S>(os, o, head_dim, o, [&](auto x, auto y) __attribute__((always_inline)) { return S::fma(x, b, S::mul(y, a)); });
}

template <class S>
void attend_finish(float l, int64_t head_dim, float* o) {
  const auto by = S::set1(l);
  if (l == 0.0f)
    each1<S>(o, head_dim, o, [&](auto) __attribute__((always_inline)) { return S::zero(); });
  else
    each1<S>(o, head_dim, o, [&](auto x) __attribute__((always_inline)) { return S::div(x, by); });
}

// One position into its tile: a column of K, a row of V.
template <class S>
void store_k(const float* k, int64_t head_dim, DType kv_dtype, int64_t slot, std::byte* tile) {
  if (kv_dtype == DType::q8_0) return store_q8<S, true>(k, head_dim, slot, tile);
  if (kv_dtype == DType::f32) {
    for (int64_t d = 0; d < head_dim; ++d) __builtin_memcpy(tile + (d * kTilePositions + slot) * 4, k + d, 4);
    return;
  }
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    const int64_t n = head_dim - d < kLanes ? head_dim - d : kLanes;
    uint16_t half[kLanes];
    S::store_f16(half, S::load_n(k + d, n));
    for (int64_t i = 0; i < n; ++i) __builtin_memcpy(tile + ((d + i) * kTilePositions + slot) * 2, half + i, 2);
  }
}

template <class S>
void store_v(const float* v, int64_t head_dim, DType kv_dtype, int64_t slot, std::byte* tile) {
  if (kv_dtype == DType::q8_0) return store_q8<S, false>(v, head_dim, slot, tile);
  for (int64_t d = 0; d < head_dim; d += kLanes) {
    const int64_t n = head_dim - d < kLanes ? head_dim - d : kLanes;
    const auto x = S::load_n(v + d, n);
    if (kv_dtype == DType::f32)
      S::store_n(reinterpret_cast<float*>(tile) + slot * head_dim + d, x, n);
    else
      S::store_f16_n(tile + (slot * head_dim + d) * 2, x, n);
  }
}

}  // namespace carat::kernels
