#pragma once
// int8 activations x quantised panels. One core for one row and for many: a register tile of rows x panels walks a tile of up to 256 k.
// With many rows a tile of codes is unpacked once into scratch; with one row it is decoded on the way into the dot.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/formats.h"
#include "kernels/generic/unroll.h"
#include "kernels/kernels.h"

namespace carat::kernels {

inline constexpr int kHalvesPerTile = kTileK / 16;
inline constexpr int kRowBlock = 128;  // rows that share an unpacked tile
inline constexpr int kPanelBlock = 8;  // panels that share a tile of activations

// Codes and scales straight from the panel.
template <class S, DType T>
struct DirectSource {
  using F = Format<S, T>;
  static constexpr bool kHalves = F::kTraits.halves, kMinima = F::kTraits.minima, kSigned = F::kSigned;
  static constexpr int kFlush = S::flush_every(F::kTraits.max_code);
  const std::byte* tile;
  int64_t groups;
  typename F::Head head;

  // The planes of a tile are several streams, which hardware prefetchers follow badly; in memory order they are one. A share of what comes kAhead later, a group.
  static constexpr int64_t kAhead = 6144;
  [[gnu::always_inline]] inline void prefetch(int64_t g) const {
    constexpr int64_t kBytes = F::kShape.group_bytes();
    for (int64_t i = 0; i < kBytes; i += 64) S::prefetch(tile + kAhead + g * kBytes + i);
  }

  template <int kq>
  [[gnu::always_inline]] inline typename S::U8 code(int64_t g) const {
    return F::template code<kq>(tile, groups, g);
  }
  [[gnu::always_inline]] inline typename S::F32 scale(int64_t g, int half) const { return F::scale(head, tile, groups, g, half); }
  [[gnu::always_inline]] inline typename S::F32 minimum(int64_t g, int half) const { return F::minimum(head, tile, groups, g, half); }
};

struct alignas(64) UnpackedTile {
  uint8_t codes[kGroupsPerTile][8][64];
  float scale[kHalvesPerTile][16];
  float minimum[kHalvesPerTile][16];
};

// The same from scratch: only the shape of the format is left, so formats share the core.
template <class S, bool Halves, bool Minima, bool Signed, int Flush>
struct ScratchSource {
  static constexpr bool kHalves = Halves, kMinima = Minima, kSigned = Signed;
  static constexpr int kFlush = Flush;
  const UnpackedTile* tile;

  [[gnu::always_inline]] inline void prefetch(int64_t) const {}
  template <int kq>
  [[gnu::always_inline]] inline typename S::U8 code(int64_t g) const {
    return S::load_b(tile->codes[g][kq]);
  }
  [[gnu::always_inline]] inline typename S::F32 scale(int64_t g, int half) const { return S::load(tile->scale[Halves ? 2 * g + half : g]); }
  [[gnu::always_inline]] inline typename S::F32 minimum(int64_t g, int half) const { return S::load(tile->minimum[Halves ? 2 * g + half : g]); }
};

// The activations of a tile, from the first row of a register tile on.
struct RowTile {
  const int8_t* q;       // [row][kTileK]
  const float* scale;    // [row][kGroupsPerTile]
  const int32_t* start;  // [row][kHalvesPerTile]: where the integer sum begins
  const float* sums;     // [row][kHalvesPerTile]: float(sum of q) * scale
};

// acc[p][row][16] += this tile.
template <class S, class Source, int R, int P>
[[gnu::noinline]] void quant_tile(const Source* source, int64_t groups, const RowTile& x, float* acc, int64_t panel_stride) {
  using Dot = typename S::template Dot<Source::kSigned, Source::kFlush>;
  constexpr int kParts = Source::kHalves ? 2 : 1;
  constexpr int kSteps = 8 / kParts;
  typename S::F32 sum[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sum[r][p] = S::load(acc + p * panel_stride + r * kLanes);
  for (int64_t g = 0; g < groups; ++g) {
    for (int p = 0; p < P; ++p) source[p].prefetch(g);
    unroll<kParts>([&](auto half) __attribute__((always_inline)) {
      const int64_t part = Source::kHalves ? 2 * g + half.value : g;
      const int8_t* q = x.q + kGroup * g + 16 * half.value;
      Dot dot[R][P];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) dot[r][p].begin(x.start + r * kHalvesPerTile + part);
      unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
        typename S::U8 code[P];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) code[p] = source[p].template code<half.value * kSteps + step.value>(g);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const auto four = S::broadcast4(q + r * kTileK + 4 * step.value);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) dot[r][p].template step<step.value, kSteps>(code[p], four);
        }
      });
      typename S::F32 scale[P], minimum[P];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        scale[p] = source[p].scale(g, half.value);
        if constexpr (Source::kMinima) minimum[p] = source[p].minimum(g, half.value);
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const auto as = S::set1(x.scale[r * kGroupsPerTile + g]);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) sum[r][p] = S::fma(S::to_f32(dot[r][p].end(x.start + r * kHalvesPerTile + part)), S::mul(scale[p], as), sum[r][p]);
        if constexpr (Source::kMinima) {
          const auto s = S::set1(x.sums[r * kHalvesPerTile + part]);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) sum[r][p] = S::fma(s, minimum[p], sum[r][p]);
        }
      }
    });
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) S::store(acc + p * panel_stride + r * kLanes, sum[r][p]);
}

// Rows of a block by register tiles of R, then R/2, ... : a row's bits do not depend on the tile it falls into.
template <class S, class Source, int R, int P>
void quant_rows(const Source* source, int64_t groups, RowTile x, int64_t rows, float* acc, int64_t panel_stride) {
  while (rows >= R) {
    quant_tile<S, Source, R, P>(source, groups, x, acc, panel_stride);
    x.q += R * kTileK;
    x.scale += R * kGroupsPerTile;
    x.start += R * kHalvesPerTile;
    x.sums += R * kHalvesPerTile;
    acc += R * kLanes;
    rows -= R;
  }
  if constexpr (R > 1)
    if (rows > 0) quant_rows<S, Source, R / 2, P>(source, groups, x, rows, acc, panel_stride);
}

template <class S, DType T>
void unpack_tile(const std::byte* tile, int64_t groups, UnpackedTile& out) {
  using F = Format<S, T>;
  const auto head = F::head(tile, groups);
  for (int64_t g = 0; g < groups; ++g) {
    unroll<8>([&](auto kq) __attribute__((always_inline)) { S::store_b(out.codes[g][kq.value], F::template code<kq.value>(tile, groups, g)); });
    constexpr int kParts = F::kTraits.halves ? 2 : 1;
    for (int half = 0; half < kParts; ++half) {
      const int64_t part = kParts * g + half;
      S::store(out.scale[part], F::scale(head, tile, groups, g, half));
      if constexpr (F::kTraits.minima) S::store(out.minimum[part], F::minimum(head, tile, groups, g, half));
    }
  }
}

// Where integer sums begin and what minima are multiplied by, for one row of a tile.
template <class S, DType T>
[[gnu::always_inline]] inline void prepare_row(const QuantRows& x, int64_t row, int64_t k0, int64_t groups, int32_t* start, float* sums) {
  using F = Format<S, T>;
  constexpr int kStart = S::template start_offset<F::kSigned, F::kTraits.offset>();
  constexpr int kParts = F::kTraits.halves ? 2 : 1;
  if constexpr (kStart != 0 || F::kTraits.minima) {
    const int32_t* s16 = x.sum16 + (row * x.k + k0) / 16;
    const float* scale = x.scale + (row * x.k + k0) / kGroup;
    for (int64_t i = 0; i < groups * kParts; ++i) {
      const int32_t sum = kParts == 2 ? s16[i] : s16[2 * i] + s16[2 * i + 1];
      start[i] = -kStart * sum;
      if constexpr (F::kTraits.minima) sums[i] = static_cast<float>(sum) * scale[i / kParts];
    }
  }
}

template <class S>
[[gnu::always_inline]] inline void store_result(const QuantMatmul& a, int64_t row, int64_t panel, typename S::F32 v) {
  const int64_t column = panel * kLanes;
  if (a.w_scale != 1.0f) v = S::mul(v, S::set1(a.w_scale));
  S::store_n(a.out + row * a.ldo + column, v, a.n - column);
}

// One row: codes go from the panel straight into the dot. The panels are read as one stream.
template <class S, DType T>
void quant_one_row(const QuantMatmul& a, int64_t panel_size) {
  using F = Format<S, T>;
  alignas(64) int32_t start[kHalvesPerTile];
  alignas(64) float sums[kHalvesPerTile], acc[kLanes];
  const std::byte* tile = a.panels + a.panel_begin * panel_size;
  for (int64_t p = a.panel_begin; p < a.panel_end; ++p) {
    S::store(acc, S::zero());
    for (int64_t k0 = 0; k0 < a.x.k; k0 += kTileK) {
      const int64_t groups = (a.x.k - k0 < kTileK ? a.x.k - k0 : kTileK) / kGroup;
      prepare_row<S, T>(a.x, 0, k0, groups, start, sums);
      const DirectSource<S, T> source{tile, groups, F::head(tile, groups)};
      quant_tile<S, DirectSource<S, T>, 1, 1>(&source, groups, {a.x.q + k0, a.x.scale + k0 / kGroup, start, sums}, acc, 0);
      tile += F::kShape.bytes(groups);
    }
    store_result<S>(a, 0, p, S::load(acc));
  }
}

template <class S, DType T>
struct QuantBlock {
  using F = Format<S, T>;
  using Direct = DirectSource<S, T>;
  using Scratch = ScratchSource<S, Direct::kHalves, Direct::kMinima, Direct::kSigned, Direct::kFlush>;

  alignas(64) float acc[kPanelBlock][kRowBlock][kLanes];
  alignas(64) int8_t q[kRowBlock][kTileK];  // the tile's activations, rows close together
  alignas(64) int32_t start[kRowBlock][kHalvesPerTile];
  alignas(64) float sums[kRowBlock][kHalvesPerTile];
  alignas(64) float scale[kRowBlock][kGroupsPerTile];
  UnpackedTile unpacked[S::kQuantPanels];

  // Some panels times some rows.
  void multiply(const QuantMatmul& a, int64_t panel, int64_t panels, int64_t panel_size, int64_t row0, int64_t rows) {
    for (int64_t p = 0; p < panels; ++p)
      for (int64_t r = 0; r < rows; ++r) S::store(acc[p][r], S::zero());
    const std::byte* tile = a.panels + panel * panel_size;
    for (int64_t k0 = 0; k0 < a.x.k; k0 += kTileK) {
      const int64_t groups = (a.x.k - k0 < kTileK ? a.x.k - k0 : kTileK) / kGroup;
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t at = (row0 + r) * a.x.k + k0;
        for (int64_t g = 0; g < groups; ++g) {
          __builtin_memcpy(q[r] + g * kGroup, a.x.q + at + g * kGroup, kGroup);
          scale[r][g] = a.x.scale[at / kGroup + g];
        }
        prepare_row<S, T>(a.x, row0 + r, k0, groups, start[r], sums[r]);
      }
      int64_t p = 0;
      for (; p + S::kQuantPanels <= panels; p += S::kQuantPanels) multiply_tile<S::kQuantPanels>(tile + p * panel_size, panel_size, groups, rows, p);
      if constexpr (S::kQuantPanels > 1)
        for (; p < panels; ++p) multiply_tile<1>(tile + p * panel_size, panel_size, groups, rows, p);
      tile += F::kShape.bytes(groups);
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t p = 0; p < panels; ++p) store_result<S>(a, row0 + r, panel + p, S::load(acc[p][r]));
  }

  template <int P>
  [[gnu::always_inline]] inline void multiply_tile(const std::byte* tile, int64_t panel_size, int64_t groups, int64_t rows, int64_t p) {
    Scratch source[P];
    for (int i = 0; i < P; ++i) {
      unpack_tile<S, T>(tile + i * panel_size, groups, unpacked[i]);
      source[i].tile = &unpacked[i];
    }
    quant_rows<S, Scratch, S::kQuantRows, P>(source, groups, {q[0], scale[0], start[0], sums[0]}, rows, acc[p][0], kRowBlock * kLanes);
  }
};

template <class S, DType T>
void matmul_quant_format(const QuantMatmul& a) {
  constexpr TileShape kShape = tile_shape(T);
  const int64_t rest = a.x.k % kTileK / kGroup;
  const int64_t panel_size = a.x.k / kTileK * kShape.bytes(kGroupsPerTile) + (rest != 0 ? kShape.bytes(rest) : 0);
  if (a.x.rows == 1) return quant_one_row<S, T>(a, panel_size);
  QuantBlock<S, T> block;
  for (int64_t row0 = 0; row0 < a.x.rows; row0 += kRowBlock) {
    const int64_t rows = a.x.rows - row0 < kRowBlock ? a.x.rows - row0 : kRowBlock;
    for (int64_t p = a.panel_begin; p < a.panel_end; p += kPanelBlock)
      block.multiply(a, p, a.panel_end - p < kPanelBlock ? a.panel_end - p : kPanelBlock, panel_size, row0, rows);
  }
}

template <class S>
void matmul_quant(const QuantMatmul& a) {
  switch (a.dtype) {
    case DType::q4_0: return matmul_quant_format<S, DType::q4_0>(a);
    case DType::q4_1: return matmul_quant_format<S, DType::q4_1>(a);
    case DType::q5_0: return matmul_quant_format<S, DType::q5_0>(a);
    case DType::q5_1: return matmul_quant_format<S, DType::q5_1>(a);
    case DType::q8_0: return matmul_quant_format<S, DType::q8_0>(a);
    case DType::q2_k: return matmul_quant_format<S, DType::q2_k>(a);
    case DType::q3_k: return matmul_quant_format<S, DType::q3_k>(a);
    case DType::q4_k: return matmul_quant_format<S, DType::q4_k>(a);
    case DType::q5_k: return matmul_quant_format<S, DType::q5_k>(a);
    case DType::q6_k: return matmul_quant_format<S, DType::q6_k>(a);
    case DType::iq4_nl: return matmul_quant_format<S, DType::iq4_nl>(a);
    case DType::iq4_xs: return matmul_quant_format<S, DType::iq4_xs>(a);
    case DType::mxfp4: return matmul_quant_format<S, DType::mxfp4>(a);
    case DType::nvfp4: return matmul_quant_format<S, DType::nvfp4>(a);
    default: return;  // not a quantised type: the caller's mistake, nothing is written
  }
}

}  // namespace carat::kernels
