#pragma once
// f32 activations -> int8 (QuantRows in kernels.h).
#include <cstdint>

#include "kernels/kernels.h"

namespace carat::kernels {

// 127 / amax and amax / 127 of magnitudes whose largest has these bits.
struct RowScale {
  float scale, inverse;
};
[[gnu::always_inline]] inline RowScale row_scale(int32_t bits) {
  const float amax = __builtin_bit_cast(float, bits);
  if (bits >= 0x7F800000) return {__builtin_bit_cast(float, 0x7FC00000), 0.0f};  // inf or NaN in the row shows in the result
  const float inverse = 127.0f / amax;
  if (!(inverse < __builtin_inff())) return {0.0f, 0.0f};
  return {amax / 127.0f, inverse};
}

// Magnitudes compare as integers, NaN above inf: the same in every instruction set.
template <class S>
[[gnu::always_inline]] inline int32_t largest_bits(const float* x) {
  return S::reduce_max_i(S::max_i(S::bits(S::abs(S::load(x))), S::bits(S::abs(S::load(x + 16)))));
}

template <class S>
[[gnu::always_inline]] inline void quantise_group(const float* x, float inverse, int8_t* q, int32_t* sum16) {
  const auto magic = S::set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to nearest even
  auto q0 = S::set1_i(0), q1 = S::set1_i(0);
  if (inverse != 0.0f) {
    const auto by = S::set1(inverse);
    q0 = S::sub_i(S::bits(S::add(S::mul(S::load(x), by), magic)), S::bits(magic));
    q1 = S::sub_i(S::bits(S::add(S::mul(S::load(x + 16), by), magic)), S::bits(magic));
  }
  S::store_i8(q, q0);
  S::store_i8(q + 16, q1);
  sum16[0] = S::reduce_add_i(q0);
  sum16[1] = S::reduce_add_i(q1);
}

template <class S>
void quantise_rows(const float* x, int64_t ldx, int64_t rows, int64_t k, int8_t* q, float* scale, int32_t* sum16) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t g = 0; g < k / kGroup; ++g) {
      const float* from = x + r * ldx + g * kGroup;
      const int64_t at = r * k + g * kGroup;
      const RowScale s = row_scale(largest_bits<S>(from));
      quantise_group<S>(from, s.inverse, q + at, sum16 + at / 16);
      scale[at / kGroup] = s.scale;
    }
}

template <class S>
void quantise_tiles(const float* x, int64_t ldx, int64_t rows, int64_t k, const TileRows& out) {
  constexpr int kGroups = kTileK / kGroup;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k0 = 0; k0 < k; k0 += kTileK) {
      const float* from = x + r * ldx + k0;
      const int64_t at = r * k + k0;
      int32_t bits[kGroups], most = 0;
      for (int g = 0; g < kGroups; ++g) {
        bits[g] = largest_bits<S>(from + g * kGroup);
        if (bits[g] > most) most = bits[g];
      }
      const RowScale s = row_scale(most);
      out.scale[at / kTileK] = s.scale * 0.125f;
      int32_t* sum16 = out.sum16 + at / 16;
      uint8_t* factor = out.factor + at / kGroup;
      for (int g = 0; g < kGroups; ++g) {
        const float eighths = s.inverse != 0.0f ? __builtin_bit_cast(float, bits[g]) / __builtin_bit_cast(float, most) * 8.0f : 0.0f;
        int f = static_cast<int>(eighths);
        if (static_cast<float>(f) < eighths) ++f;
        if (f < 1) f = 1;
        factor[g] = static_cast<uint8_t>(f);
        const float inverse = s.inverse * (8.0f / static_cast<float>(f));
        quantise_group<S>(from + g * kGroup, inverse < __builtin_inff() ? inverse : 0.0f, out.q + at + g * kGroup, sum16 + 2 * g);
      }
      const auto pair = [](int32_t low, int32_t high) {
        return static_cast<int32_t>((static_cast<uint32_t>(low) & 0xFFFFu) | static_cast<uint32_t>(high) << 16);
      };
      for (int g = 0; g < kGroups; ++g) out.pair16[at / kGroup + g] = pair(sum16[2 * g] * factor[g], sum16[2 * g + 1] * factor[g]);
      for (int i = 0; i < kGroups / 2; ++i)
        out.pair32[at / (2 * kGroup) + i] = pair((sum16[4 * i] + sum16[4 * i + 1]) * factor[2 * i], (sum16[4 * i + 2] + sum16[4 * i + 3]) * factor[2 * i + 1]);
    }
}

}  // namespace carat::kernels
