#pragma once
// The vocabulary (meaning: simd/scalar.h) with the matrix product of Armv8.6 I8MM: smmla multiplies 8 k of two rows by 8 k of two outputs. A single row has no use
// for it and keeps the 4-way dot.
#include "kernels/simd/neon.h"

namespace carat::kernels {

struct NeonPairs : Neon<true> {
  using ManyRows = NeonPairs;
  static constexpr int kDotRows = 2;

  // Two vectors [16 outputs][4 k] of neighbouring k: the first gets outputs 0, 1 of each quarter with 8 k each, the second outputs 2, 3.
  [[gnu::always_inline]] static inline void zip_codes(U8& first, U8& second) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t a = vreinterpretq_u32_u8(first.v[i]), b = vreinterpretq_u32_u8(second.v[i]);
      first.v[i] = vreinterpretq_u8_u32(vzip1q_u32(a, b));
      second.v[i] = vreinterpretq_u8_u32(vzip2q_u32(a, b));
    }
  }
  [[gnu::always_inline]] static inline Q load_q(const int8_t* q, int64_t stride) { return vcombine_s8(vld1_s8(q), vld1_s8(q + stride)); }

  template <bool kSigned, int kFlush>
  struct Dot {
    int32x4_t sum[2][4];  // [half of a quarter][quarter]: two outputs of the first row, then of the second
    [[gnu::always_inline]] inline void begin(const int32_t*) {
      for (auto& half : sum)
        for (auto& s : half) s = vdupq_n_s32(0);
    }
    template <int kStep, int kSteps>
    [[gnu::always_inline]] inline void step(U8 code, Q q) {
      auto& half = sum[kStep % 2];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) half[i] = vmmlaq_s32(half[i], q, vreinterpretq_s8_u8(code.v[i]));
    }
    [[gnu::always_inline]] inline I32 end(const int32_t*, int row) {
      return each_i([&](int i) __attribute__((always_inline)) {
        const int64x2_t a = vreinterpretq_s64_s32(sum[0][i]), b = vreinterpretq_s64_s32(sum[1][i]);
        return vreinterpretq_s32_s64(row == 0 ? vzip1q_s64(a, b) : vzip2q_s64(a, b));
      });
    }
  };

  template <bool kSigned, int kFlush>
  struct ScaledDot {
    Dot<kSigned, kFlush> dot;
    [[gnu::always_inline]] inline void begin(const int32_t* start) { dot.begin(start); }
    template <int kStep, int kSteps, typename Factor>
    [[gnu::always_inline]] inline void step(U8 code, Q q, Factor factor, I32* sum) {
      dot.template step<kStep, kSteps>(code, q);
      if constexpr (kStep + 1 == kSteps) {
#pragma GCC unroll 2
        for (int row = 0; row < kDotRows; ++row) {
          const I32 part = dot.end(nullptr, row), by = factor(row);
          sum[row] = each_i([&](int i) __attribute__((always_inline)) { return vmlaq_s32(sum[row].v[i], part.v[i], by.v[i]); });
        }
      }
    }
  };
};

struct NeonI8mm : Neon<true> {
  using ManyRows = NeonPairs;
};

}  // namespace carat::kernels
