#pragma once
// Superblock types (Q2_K to Q6_K, IQ4_XS): the scales of a tile's parts are integers and are applied as such, so that an output and a row take one float
// multiply-add for 256 elements. Activations of a tile share a scale, of which a group of 32 takes 1 to 8 eighths (QuantRows::factor): that goes into the parts' scales.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/formats.h"
#include "kernels/generic/unroll.h"
#include "kernels/kernels.h"

namespace carat::kernels {

inline constexpr int32_t kNoStart = 0;
inline constexpr int kFactors = 8;  // factors of groups are 1..8
inline constexpr int kPairsPerTile = kPartsPerTile / 2;

struct SuperSide {
  float scale;                     // of a unit of q * factor
  uint8_t factor[kGroupsPerTile];  // 1..8
  int32_t start[kPartsPerTile];    // where the integer sum of a part begins
  int32_t pair[kPairsPerTile];     // two parts as int16: sum of q * factor, the earlier part in the lower half
};

struct alignas(64) UnpackedSuperblocks {
  uint8_t codes[kGroupsPerTile][8][64];
  int32_t scale[kPartsPerTile][kFactors][16];  // S::part_factor(scale * (i + 1))
  int32_t scale_pair[kPairsPerTile][16];       // two parts as int16, the earlier in the lower half
  int32_t minimum_pair[kPairsPerTile][16];
  float d[16], minus_dmin[16];
};

// Two parts' small integers as int16 in one lane.
template <class S>
[[gnu::always_inline]] inline typename S::I32 pair_up(typename S::I32 low, typename S::I32 high) {
  return S::add_i(S::and_i(low, S::set1_i(0xFFFF)), S::template shl_i<16>(high));
}

template <class S, DType T>
struct DirectSuperblocks {
  using F = Format<S, T>;
  using I32 = typename S::I32;
  static constexpr bool kHalves = F::kTraits.halves, kMinima = F::kTraits.minima, kSigned = F::kSigned;
  static constexpr int kFlush = S::flush_every(F::kTraits.max_code);
  static constexpr int kOffset = F::kSigned ? 0 : F::kTraits.offset;
  const std::byte* tile;

  DirectSuperblocks(const std::byte* at, int64_t) : tile(at) {}
  [[gnu::always_inline]] inline void prefetch(int64_t g) const { prefetch_ahead<S>(tile, F::kShape.group_bytes(), g); }
  template <int kq>
  [[gnu::always_inline]] inline typename S::U8 code(int64_t g) const {
    return F::template code<kq>(tile, kGroupsPerTile, g);
  }
  using Scale = I32;
  [[gnu::always_inline]] inline Scale scale(int64_t g, int half) const { return F::part_scale(tile, kGroupsPerTile, g, half); }
  [[gnu::always_inline]] static inline I32 factor(Scale scale, int f) { return S::part_factor(S::mul_small(scale, f)); }
  [[gnu::always_inline]] inline I32 scale_pair(int64_t i) const {
    return kHalves ? pair_up<S>(scale(i, 0), scale(i, 1)) : pair_up<S>(scale(2 * i, 0), scale(2 * i + 1, 0));
  }
  [[gnu::always_inline]] inline I32 minimum_pair(int64_t i) const {
    return kHalves ? pair_up<S>(F::part_minimum(tile, kGroupsPerTile, i, 0), F::part_minimum(tile, kGroupsPerTile, i, 1))
                   : pair_up<S>(F::part_minimum(tile, kGroupsPerTile, 2 * i, 0), F::part_minimum(tile, kGroupsPerTile, 2 * i + 1, 0));
  }
  [[gnu::always_inline]] inline typename S::F32 d() const { return F::d(tile, kGroupsPerTile); }
  [[gnu::always_inline]] inline typename S::F32 minus_dmin() const { return S::neg(F::dmin(tile, kGroupsPerTile)); }
};

template <class S, bool Halves, bool Minima, bool Signed, int Flush, int Offset>
struct ScratchSuperblocks {
  using I32 = typename S::I32;
  static constexpr bool kHalves = Halves, kMinima = Minima, kSigned = Signed;
  static constexpr int kFlush = Flush, kOffset = Offset;
  const UnpackedSuperblocks* tile;

  [[gnu::always_inline]] inline void prefetch(int64_t) const {}
  template <int kq>
  [[gnu::always_inline]] inline typename S::U8 code(int64_t g) const {
    return S::load_b(tile->codes[g][kq]);
  }
  using Scale = const int32_t (*)[16];
  [[gnu::always_inline]] inline Scale scale(int64_t g, int half) const { return tile->scale[Halves ? 2 * g + half : g]; }
  [[gnu::always_inline]] static inline I32 factor(Scale scale, int f) { return S::load_i(scale[f - 1]); }
  [[gnu::always_inline]] inline I32 scale_pair(int64_t i) const { return S::load_i(tile->scale_pair[i]); }
  [[gnu::always_inline]] inline I32 minimum_pair(int64_t i) const { return S::load_i(tile->minimum_pair[i]); }
  [[gnu::always_inline]] inline typename S::F32 d() const { return S::load(tile->d); }
  [[gnu::always_inline]] inline typename S::F32 minus_dmin() const { return S::load(tile->minus_dmin); }
};

struct SuperScheme {
  using Side = SuperSide;
  using Unpacked = UnpackedSuperblocks;
  template <class S, DType T>
  using Direct = DirectSuperblocks<S, T>;
  template <class S, DType T, class D = Direct<S, T>>
  using Scratch = ScratchSuperblocks<S, D::kHalves, D::kMinima, D::kSigned, D::kFlush, D::kOffset>;
  template <class S>
  static constexpr int kRows = S::kSuperRows;
  template <class S>
  static constexpr int kPanels = S::kSuperPanels;

  template <class S, DType T>
  [[gnu::always_inline]] static inline void prepare(const QuantRows& x, int64_t row, int64_t k0, int64_t, Side& side) {
    using F = Format<S, T>;
    constexpr int kStart = S::template start_offset<F::kSigned, F::kTraits.offset>();
    constexpr int kParts = F::kTraits.halves ? 2 : 1;
    const int64_t at = row * x.k + k0;
    side.scale = x.scale[at / kTileK];
    __builtin_memcpy(side.factor, x.factor + at / kGroup, kGroupsPerTile);
    if constexpr (kParts == 2)
      __builtin_memcpy(side.pair, x.pair16 + at / kGroup, sizeof(int32_t) * 8);
    else
      __builtin_memcpy(side.pair, x.pair32 + at / (2 * kGroup), sizeof(int32_t) * 4);
    if constexpr (kStart != 0) {
      const int32_t* s16 = x.sum16 + at / 16;
#pragma GCC unroll 16
      for (int i = 0; i < kGroupsPerTile * kParts; ++i) side.start[i] = -kStart * (kParts == 2 ? s16[i] : s16[2 * i] + s16[2 * i + 1]);
    }
  }

  template <class S, DType T>
  static void unpack(const std::byte* tile, int64_t, Unpacked& out) {
    using F = Format<S, T>;
    constexpr int kParts = F::kTraits.halves ? 2 : 1;
    const Direct<S, T> from(tile, kGroupsPerTile);
    for (int64_t g = 0; g < kGroupsPerTile; ++g) {
      F::unpack_codes(tile, kGroupsPerTile, g, out.codes[g]);
      for (int half = 0; half < kParts; ++half) {
        const auto scale = S::part_factor(from.scale(g, half));
        auto multiple = scale;
        for (int i = 0; i < kFactors; ++i, multiple = S::add_factors(multiple, scale)) S::store_i(out.scale[kParts * g + half][i], multiple);
      }
    }
    for (int64_t i = 0; i < kGroupsPerTile * kParts / 2; ++i) {
      if constexpr (corrects<S, Direct<S, T>>()) S::store_i(out.scale_pair[i], from.scale_pair(i));
      if constexpr (F::kTraits.minima) S::store_i(out.minimum_pair[i], from.minimum_pair(i));
    }
    S::store(out.d, from.d());
    if constexpr (F::kTraits.minima) S::store(out.minus_dmin, from.minus_dmin());
  }

  // acc[p][row][16] += this tile.
  template <class S, class Source, int R, int P>
  [[gnu::noinline]] static void multiply(const Source* source, int64_t, const int8_t* x, const Side* side, float* acc, int64_t panel_stride) {
    using Dot = typename S::template ScaledDot<Source::kSigned, Source::kFlush>;
    constexpr int kParts = Source::kHalves ? 2 : 1;
    constexpr int kSteps = 8 / kParts, kDotRows = S::kDotRows;
    typename S::I32 sum[P][R];
    typename S::F32 value[R][P];
    // What depends on sums of activations only comes first: beside the dots it costs no waiting.
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        sum[p][r] = S::set1_i(0);
        if constexpr (corrects<S, Source>()) {
          auto offsets = S::set1_i(0);
#pragma GCC unroll 8
          for (int i = 0; i < kGroupsPerTile * kParts / 2; ++i) offsets = S::dot_pairs(source[p].scale_pair(i), S::set1_i(side[r].pair[i]), offsets);
          sum[p][r] = S::sub_i(sum[p][r], S::template shl_i<log2_of(Source::kOffset)>(offsets));
        }
        if constexpr (Source::kMinima) {
          auto minima = S::set1_i(0);
#pragma GCC unroll 8
          for (int i = 0; i < kGroupsPerTile * kParts / 2; ++i) minima = S::dot_pairs(source[p].minimum_pair(i), S::set1_i(side[r].pair[i]), minima);
          value[r][p] = S::mul(source[p].minus_dmin(), S::to_f32(minima));
        }
      }
    for (int64_t g = 0; g < kGroupsPerTile; ++g) {
      for (int p = 0; p < P; ++p) source[p].prefetch(g);
      unroll<kParts>([&](auto half) __attribute__((always_inline)) {
        const int64_t part = Source::kHalves ? 2 * g + half.value : g;
        const int8_t* q = x + kGroup * g + 16 * half.value;
        Dot dot[R / kDotRows][P];
        typename Source::Scale scale[P];
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) scale[p] = source[p].scale(g, half.value);
#pragma GCC unroll 16
        for (int r = 0; r < R; r += kDotRows)
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p)
            dot[r / kDotRows][p].begin(S::template start_offset<Source::kSigned, Source::kOffset>() != 0 ? side[r].start + part : &kNoStart);
        unroll<kSteps>([&](auto step) __attribute__((always_inline)) {
          typename S::U8 code[P];
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) code[p] = source[p].template code<half.value * kSteps + step.value>(g);
#pragma GCC unroll 16
          for (int r = 0; r < R; r += kDotRows) {
            const auto some = S::load_q(q + r * kTileK + 4 * (step.value / kDotRows * kDotRows), kTileK);
#pragma GCC unroll 8
            for (int p = 0; p < P; ++p)
              dot[r / kDotRows][p].template step<step.value, kSteps>(
                  code[p], some, [&](int i) __attribute__((always_inline)) { return Source::factor(scale[p], side[r + i].factor[g]); }, sum[p] + r);
          }
        });
      });
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const auto scaled = S::to_f32(sum[p][r]);
        if constexpr (Source::kMinima)
          value[r][p] = S::fma(source[p].d(), scaled, value[r][p]);
        else
          value[r][p] = S::mul(source[p].d(), scaled);
        float* at = acc + p * panel_stride + r * kLanes;
        S::store(at, S::fma(value[r][p], S::set1(side[r].scale), S::load(at)));
      }
  }

 private:
  static constexpr int log2_of(int power) { return power <= 1 ? 0 : 1 + log2_of(power / 2); }
  // maddubs takes unsigned codes and multiplies by the scale on the way: their offset comes off afterwards, all parts at once.
  template <class S, class Source>
  static constexpr bool corrects() {
    return S::kPairFactors && Source::kOffset != 0;
  }
};

}  // namespace carat::kernels
