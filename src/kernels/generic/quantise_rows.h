#pragma once
// f32 activations -> int8 with a scale every 32 (QuantRows in kernels.h).
#include <cstdint>

#include "kernels/kernels.h"

namespace carat::kernels {

template <class S>
void quantise_rows(const float* x, int64_t ldx, int64_t rows, int64_t k, int8_t* q, float* scale, int32_t* sum16) {
  const auto magic = S::set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to nearest even
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t g = 0; g < k / kGroup; ++g) {
      const float* from = x + r * ldx + g * kGroup;
      const auto v0 = S::load(from), v1 = S::load(from + 16);
      // Magnitudes compare as integers, NaN above inf: the same in every instruction set.
      const int32_t bits = S::reduce_max_i(S::max_i(S::bits(S::abs(v0)), S::bits(S::abs(v1))));
      const float amax = __builtin_bit_cast(float, bits);
      float inverse = 127.0f / amax, s = amax / 127.0f;
      if (bits >= 0x7F800000) {  // inf or NaN in the row shows in the result
        s = __builtin_bit_cast(float, 0x7FC00000);
        inverse = 0.0f;
      } else if (!(inverse < __builtin_inff())) {
        s = 0.0f;
        inverse = 0.0f;
      }
      auto q0 = S::set1_i(0), q1 = S::set1_i(0);
      if (inverse != 0.0f) {
        const auto by = S::set1(inverse);
        q0 = S::sub_i(S::bits(S::add(S::mul(v0, by), magic)), S::bits(magic));
        q1 = S::sub_i(S::bits(S::add(S::mul(v1, by), magic)), S::bits(magic));
      }
      const int64_t at = r * k + g * kGroup;
      S::store_i8(q + at, q0);
      S::store_i8(q + at + 16, q1);
      scale[at / kGroup] = s;
      sum16[at / 16] = S::reduce_add_i(q0);
      sum16[at / 16 + 1] = S::reduce_add_i(q1);
    }
  }
}

}  // namespace carat::kernels
