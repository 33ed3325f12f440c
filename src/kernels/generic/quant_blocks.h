#pragma once
// Types whose blocks hold a float scale for every 32 (or 16) elements: one float multiply-add a group, an output and a row.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/formats.h"
#include "kernels/generic/unroll.h"
#include "kernels/kernels.h"

namespace carat::kernels {

// What a tile needs of a row of activations beside its int8: the numbers of 256 elements.
struct BlockSide {
  float scale[kGroupsPerTile];
  int32_t start[kPartsPerTile];  // where the integer sum of a part begins
  float sums[kGroupsPerTile];    // float(sum of q) * scale: what minima are multiplied by
};

struct alignas(64) UnpackedBlocks {
  uint8_t codes[kGroupsPerTile][8][64];
  float scale[kPartsPerTile][16];
  float minimum[kGroupsPerTile][16];
};

// Codes and scales straight from the panel.
template <class S, DType T>
struct DirectBlocks {
  using F = Format<S, T>;
  static constexpr bool kHalves = F::kTraits.halves, kMinima = F::kTraits.minima, kSigned = F::kSigned;
  static constexpr int kFlush = S::flush_every(F::kTraits.max_code);
  const std::byte* tile;
  int64_t groups;

  DirectBlocks(const std::byte* at, int64_t n) : tile(at), groups(n) {}
  [[gnu::always_inline]] inline void prefetch(int64_t g) const { prefetch_ahead<S>(tile, F::kShape.group_bytes(), g); }
  template <int kq>
  [[gnu::always_inline]] inline typename S::U8 code(int64_t g) const {
    return F::template code<kq>(tile, groups, g);
  }
  [[gnu::always_inline]] inline typename S::F32 scale(int64_t g, int half) const { return F::scale(tile, groups, g, half); }
  [[gnu::always_inline]] inline typename S::F32 minimum(int64_t g) const { return F::minimum(tile, groups, g); }
};

// The same from scratch: only the shape of the format is left, so formats share the core.
template <class S, bool Halves, bool Minima, bool Signed, int Flush>
struct ScratchBlocks {
  static constexpr bool kHalves = Halves, kMinima = Minima, kSigned = Signed;
  static constexpr int kFlush = Flush;
  const UnpackedBlocks* tile;

  [[gnu::always_inline]] inline void prefetch(int64_t) const {}
  template <int kq>
  [[gnu::always_inline]] inline typename S::U8 code(int64_t g) const {
    return S::load_b(tile->codes[g][kq]);
  }
  [[gnu::always_inline]] inline typename S::F32 scale(int64_t g, int half) const { return S::load(tile->scale[Halves ? 2 * g + half : g]); }
  [[gnu::always_inline]] inline typename S::F32 minimum(int64_t g) const { return S::load(tile->minimum[g]); }
};

struct BlockScheme {
  using Side = BlockSide;
  using Unpacked = UnpackedBlocks;
  template <class S, DType T>
  using Direct = DirectBlocks<S, T>;
  template <class S, DType T>
  using Scratch = ScratchBlocks<S, Direct<S, T>::kHalves, Direct<S, T>::kMinima, Direct<S, T>::kSigned, Direct<S, T>::kFlush>;
  template <class S>
  static constexpr int kRows = S::kQuantRows;
  template <class S>
  static constexpr int kPanels = S::kQuantPanels;

  template <class S, DType T>
  [[gnu::always_inline]] static inline void prepare(const QuantRows& x, int64_t row, int64_t k0, int64_t groups, Side& side) {
    using F = Format<S, T>;
    constexpr int kStart = S::template start_offset<F::kSigned, F::kTraits.offset>();
    constexpr int kParts = F::kTraits.halves ? 2 : 1;
    const float* scale = x.scale + (row * x.k + k0) / kGroup;
    const int32_t* s16 = x.sum16 + (row * x.k + k0) / 16;
    const auto each = [&](int64_t n) __attribute__((always_inline)) {
      for (int64_t g = 0; g < n; ++g) {
        side.scale[g] = scale[g];
        if constexpr (F::kTraits.minima) side.sums[g] = static_cast<float>(s16[2 * g] + s16[2 * g + 1]) * scale[g];
      }
      if constexpr (kStart != 0 || !F::kSigned)
        for (int64_t i = 0; i < n * kParts; ++i) side.start[i] = -kStart * (kParts == 2 ? s16[i] : s16[2 * i] + s16[2 * i + 1]);
    };
    if (groups == kGroupsPerTile)
      each(kGroupsPerTile);
    else
      each(groups);
  }

  template <class S, DType T>
  static void unpack(const std::byte* tile, int64_t groups, Unpacked& out) {
    using F = Format<S, T>;
    for (int64_t g = 0; g < groups; ++g) {
      F::unpack_codes(tile, groups, g, out.codes[g]);
      constexpr int kParts = F::kTraits.halves ? 2 : 1;
      for (int half = 0; half < kParts; ++half) S::store(out.scale[kParts * g + half], F::scale(tile, groups, g, half));
      if constexpr (F::kTraits.minima) S::store(out.minimum[g], F::minimum(tile, groups, g));
    }
  }

  // acc[p][row][16] += this tile.
  template <class S, class Source, int R, int P>
  [[gnu::noinline]] static void multiply(const Source* source, int64_t groups, const int8_t* x, const Side* side, float* acc, int64_t panel_stride) {
    using Dot = typename S::template Dot<Source::kSigned, Source::kFlush>;
    constexpr int kParts = Source::kHalves ? 2 : 1;
    constexpr int kSteps = 8 / kParts, kDotRows = S::kDotRows;
    typename S::F32 sum[R][P];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[r][p] = S::load(acc + p * panel_stride + r * kLanes);
    for (int64_t g = 0; g < groups; ++g) {
      for (int p = 0; p < P; ++p) source[p].prefetch(g);
      unroll<kParts>([&](auto half) __attribute__((always_inline)) {
        const int64_t part = Source::kHalves ? 2 * g + half.value : g;
        const int8_t* q = x + kGroup * g + 16 * half.value;
        Dot dot[R / kDotRows][P];
#pragma GCC unroll 16
        for (int r = 0; r < R; r += kDotRows)
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) dot[r / kDotRows][p].begin(side[r].start + part);
        unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
          typename S::U8 code[P];
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) code[p] = source[p].template code<half.value * kSteps + step.value>(g);
#pragma GCC unroll 16
          for (int r = 0; r < R; r += kDotRows) {
            const auto some = S::load_q(q + r * kTileK + 4 * (step.value / kDotRows * kDotRows), kTileK);
#pragma GCC unroll 8
            for (int p = 0; p < P; ++p) dot[r / kDotRows][p].template step<step.value, kSteps>(code[p], some);
          }
        });
        typename S::F32 scale[P], minimum[P];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) {
          scale[p] = source[p].scale(g, half.value);
          if constexpr (Source::kMinima) minimum[p] = source[p].minimum(g);
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const auto as = S::set1(side[r].scale[g]);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) {
            const auto total = dot[r / kDotRows][p].end(side[r].start + part, r % kDotRows);
            sum[r][p] = S::fma(S::to_f32(total), S::mul(scale[p], as), sum[r][p]);
          }
          if constexpr (Source::kMinima) {
            const auto s = S::set1(side[r].sums[g]);
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
};

}  // namespace carat::kernels
