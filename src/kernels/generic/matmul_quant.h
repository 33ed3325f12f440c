#pragma once
// int8 activations x quantised panels. One core for one row and for many: a register tile of rows x panels walks a tile of up to 256 k.
// With many rows a tile of codes is unpacked once into scratch; with one row it is decoded on the way into the dot. How a tile is multiplied is the scheme of its
// type: quant_blocks.h or quant_superblocks.h.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/quant_blocks.h"
#include "kernels/generic/quant_superblocks.h"
#include "kernels/kernels.h"

namespace carat::kernels {

inline constexpr int kRowBlock = 120;   // rows that share an unpacked tile, a multiple of what any register tile takes
inline constexpr int kPanelBlock = 16;  // panels that share a tile of activations

template <bool kSuper>
struct SchemeOf {
  using Type = BlockScheme;
};
template <>
struct SchemeOf<true> {
  using Type = SuperScheme;
};

// Rows of a block by register tiles of R, then 4, 2, 1 (a whole number of dots): a row's bits do not depend on the tile it falls into.
template <class S, class Scheme, class Source, int R, int P>
void quant_rows(const Source* source, int64_t groups, const int8_t* q, const typename Scheme::Side* side, int64_t rows, float* acc, int64_t panel_stride) {
  while (rows >= R) {
    Scheme::template multiply<S, Source, R, P>(source, groups, q, side, acc, panel_stride);
    q += R * kTileK;
    side += R;
    acc += R * kLanes;
    rows -= R;
  }
  constexpr int kNext = R > 4 ? 4 : R > 2 ? 2 : 1;
  if constexpr (R > S::kDotRows)
    if (rows > 0) quant_rows<S, Scheme, Source, kNext, P>(source, groups, q, side, rows, acc, panel_stride);
}

template <class S>
[[gnu::always_inline]] inline void store_result(const QuantMatmul& a, int64_t row, int64_t panel, typename S::F32 v) {
  const int64_t column = panel * kLanes;
  if (a.w_scale != 1.0f) v = S::mul(v, S::set1(a.w_scale));
  S::store_n(a.out + row * a.ldo + column - a.column0, v, a.n - column);
}

// One row: codes go from the panel straight into the dot. The panels are read as one stream.
template <class S, DType T>
void quant_one_row(const QuantMatmul& a) {
  using Scheme = typename SchemeOf<is_superblock(T)>::Type;
  using Source = typename Scheme::template Direct<S, T>;
  alignas(64) typename Scheme::Side side;
  alignas(64) float acc[kLanes];
  const std::byte* tile = a.panels + a.panel_begin * panel_size(T, a.x.k);
  for (int64_t p = a.panel_begin; p < a.panel_end; ++p) {
    S::store(acc, S::zero());
    for (int64_t k0 = 0; k0 < a.x.k; k0 += kTileK) {
      const int64_t groups = (a.x.k - k0 < kTileK ? a.x.k - k0 : kTileK) / kGroup;
      Scheme::template prepare<S, T>(a.x, 0, k0, groups, side);
      const Source source(tile, groups);
      Scheme::template multiply<S, Source, 1, 1>(&source, groups, a.x.q + k0, &side, acc, 0);
      tile += tile_shape(T).bytes(groups);
    }
    store_result<S>(a, 0, p, S::load(acc));
  }
}

template <class S, DType T>
struct QuantBlock {
  using Scheme = typename SchemeOf<is_superblock(T)>::Type;
  using Scratch = typename Scheme::template Scratch<S, T>;
  using Many = typename S::ManyRows;
  static constexpr int kPanels = Scheme::template kPanels<Many>, kRows = Scheme::template kRows<Many>;

  alignas(64) float acc[kPanelBlock][kRowBlock][kLanes];
  alignas(64) int8_t q[kRowBlock][kTileK];  // the tile's activations, rows close together
  alignas(64) typename Scheme::Side side[kRowBlock];
  typename Scheme::Unpacked unpacked[kPanels];

  // Some panels times some rows.
  void multiply(const QuantMatmul& a, int64_t panel, int64_t panels, int64_t row0, int64_t rows) {
    const int64_t size = panel_size(T, a.x.k);
    const int64_t filled = (rows + Many::kDotRows - 1) / Many::kDotRows * Many::kDotRows;  // the last row stands in for those that a dot lacks
    for (int64_t p = 0; p < panels; ++p)
      for (int64_t r = 0; r < filled; ++r) S::store(acc[p][r], S::zero());
    const std::byte* tile = a.panels + panel * size;
    for (int64_t k0 = 0; k0 < a.x.k; k0 += kTileK) {
      const int64_t groups = (a.x.k - k0 < kTileK ? a.x.k - k0 : kTileK) / kGroup;
      for (int64_t r = 0; r < filled; ++r) {
        const int64_t row = row0 + (r < rows ? r : rows - 1);
        const int8_t* from = a.x.q + row * a.x.k + k0;
        if (groups == kGroupsPerTile)
          __builtin_memcpy(q[r], from, kTileK);
        else
          for (int64_t g = 0; g < groups; ++g) __builtin_memcpy(q[r] + g * kGroup, from + g * kGroup, kGroup);
        Scheme::template prepare<S, T>(a.x, row, k0, groups, side[r]);
      }
      int64_t p = 0;
      for (; p + kPanels <= panels; p += kPanels) {
        // The next tiles lie a panel away, where no hardware prefetcher looks for them.
        const bool more = p + 2 * kPanels <= panels;
        for (int i = 0; i < kPanels; ++i) {
          const std::byte* next = more ? tile + (p + kPanels + i) * size : tile + i * size + tile_shape(T).bytes(groups);
          for (int64_t b = 0; b < tile_shape(T).bytes(groups); b += 64) S::prefetch(next + b);
        }
        multiply_tile<kPanels>(tile + p * size, size, groups, filled, p);
      }
      if constexpr (kPanels > 1)
        for (; p < panels; ++p) multiply_tile<1>(tile + p * size, size, groups, filled, p);
      tile += tile_shape(T).bytes(groups);
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t p = 0; p < panels; ++p) store_result<S>(a, row0 + r, panel + p, S::load(acc[p][r]));
  }

  template <int P>
  [[gnu::always_inline]] inline void multiply_tile(const std::byte* tile, int64_t size, int64_t groups, int64_t rows, int64_t p) {
    Scratch source[P];
    for (int i = 0; i < P; ++i) {
      Scheme::template unpack<S, T>(tile + i * size, groups, unpacked[i]);
      source[i].tile = &unpacked[i];
    }
    quant_rows<Many, Scheme, Scratch, kRows, P>(source, groups, q[0], side, rows, acc[p][0], kRowBlock * kLanes);
  }
};

template <class S, DType T>
void matmul_quant_format(const QuantMatmul& a) {
  if (a.x.rows == 1) return quant_one_row<S, T>(a);
  QuantBlock<S, T> block;
  // Blocks of about the same number of rows, a multiple of what a register tile takes.
  constexpr int64_t kTile = QuantBlock<S, T>::kRows;
  const int64_t blocks = (a.x.rows + kRowBlock - 1) / kRowBlock;
  const int64_t block_rows = ((a.x.rows + blocks - 1) / blocks + kTile - 1) / kTile * kTile;
  for (int64_t row0 = 0; row0 < a.x.rows; row0 += block_rows) {
    const int64_t rows = a.x.rows - row0 < block_rows ? a.x.rows - row0 : block_rows;
    for (int64_t p = a.panel_begin; p < a.panel_end; p += kPanelBlock)
      block.multiply(a, p, a.panel_end - p < kPanelBlock ? a.panel_end - p : kPanelBlock, row0, rows);
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
