#pragma once
// The vocabulary (meaning: simd/scalar.h) in Advanced SIMD: a vector is four quarters. kDot: the 4-way dot of Armv8.2 DotProd.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

namespace carat::kernels {

template <bool kDot>
struct Neon {
  static constexpr int kQuantRows = 2;  // four quarters a row of sums, and of running totals: more rows do not stay in registers
  static constexpr int kQuantPanels = 1;
  static constexpr int kSuperRows = 2;  // of superblock types
  static constexpr int kSuperPanels = 1;
  static constexpr int kDenseRows = 4;
  static constexpr int kDensePanels = 1;
  static constexpr int kDecodePanels = 4;
  static constexpr int kAttendRows = 2;
  static constexpr int kOneRows = 2;  // one-tensor output: rows x head dims
  static constexpr int kOneDims = 2;
  static constexpr bool kOneInstructionDot = kDot;
  using ManyRows = Neon;
  static constexpr int kDotRows = 1;
  static constexpr int flush_every(int) { return 1; }

  struct F32 {
    float32x4_t v[4];
  };
  struct I32 {
    int32x4_t v[4];
  };
  struct U8 {
    uint8x16_t v[4];
  };
  struct Mask {
    uint32x4_t v[4];
  };
  using Q = int8x16_t;

  template <typename F>
  [[gnu::always_inline]] static inline F32 each(F f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  template <typename F>
  [[gnu::always_inline]] static inline I32 each_i(F f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  template <typename F>
  [[gnu::always_inline]] static inline U8 each_b(F f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  template <typename F>
  [[gnu::always_inline]] static inline Mask each_m(F f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  [[gnu::always_inline]] static inline uint32x4_t below(int64_t n, int quarter) {
    static constexpr int32_t kIota[4] = {0, 1, 2, 3};
    const auto left = static_cast<int32_t>(n > 16 ? 16 : n < 0 ? 0 : n) - 4 * quarter;
    return vcltq_s32(vld1q_s32(kIota), vdupq_n_s32(left));
  }

  // ---- f32
  [[gnu::always_inline]] static inline F32 zero() { return set1(0.0f); }
  [[gnu::always_inline]] static inline F32 set1(float x) {
    return each([&](int) __attribute__((always_inline)) { return vdupq_n_f32(x); });
  }
  [[gnu::always_inline]] static inline F32 load(const float* p) {
    return each([&](int i) __attribute__((always_inline)) { return vld1q_f32(p + 4 * i); });
  }
  [[gnu::always_inline]] static inline void store(float* p, F32 a) {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
  }
  [[gnu::always_inline]] static inline F32 load_n(const float* p, int64_t n) {
    if (n >= 16) return load(p);
    float x[16] = {};
    __builtin_memcpy(x, p, static_cast<size_t>(4 * n));
    return load(x);
  }
  [[gnu::always_inline]] static inline void store_n(float* p, F32 a, int64_t n) {
    if (n >= 16) return store(p, a);
    float x[16];
    store(x, a);
    __builtin_memcpy(p, x, static_cast<size_t>(4 * n));
  }
  [[gnu::always_inline]] static inline F32 load_f16(const void* p) {
    const auto* h = static_cast<const uint16_t*>(p);
    return each([&](int i) __attribute__((always_inline)) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h + 4 * i))); });
  }
  [[gnu::always_inline]] static inline F32 load_f16_n(const void* p, int64_t n) {
    if (n >= 16) return load_f16(p);
    uint16_t h[16] = {};
    __builtin_memcpy(h, p, static_cast<size_t>(2 * n));
    return load_f16(h);
  }
  [[gnu::always_inline]] static inline F32 load_bf16(const void* p) {
    const auto* h = static_cast<const uint16_t*>(p);
    return each([&](int i) __attribute__((always_inline)) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(h + 4 * i), 16)); });
  }
  [[gnu::always_inline]] static inline void store_f16(void* p, F32 a) {
    auto* h = static_cast<uint16_t*>(p);
    for (int i = 0; i < 4; ++i) vst1_u16(h + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
  }
  [[gnu::always_inline]] static inline void store_f16_n(void* p, F32 a, int64_t n) {
    if (n >= 16) return store_f16(p, a);
    uint16_t h[16];
    store_f16(h, a);
    __builtin_memcpy(p, h, static_cast<size_t>(2 * n));
  }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vaddq_f32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 sub(F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vsubq_f32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vmulq_f32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 div(F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vdivq_f32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 fma(F32 a, F32 b, F32 c) {
    return each([&](int i) __attribute__((always_inline)) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
  }
  // Not vmaxq: that one would give NaN if either is.
  [[gnu::always_inline]] static inline F32 max(F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 min(F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 neg(F32 a) {
    return each([&](int i) __attribute__((always_inline)) { return vnegq_f32(a.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 abs(F32 a) {
    return each([&](int i) __attribute__((always_inline)) { return vabsq_f32(a.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 copy_sign(F32 magnitude, F32 sign) {
    return each([&](int i) __attribute__((always_inline)) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign.v[i], magnitude.v[i]); });
  }
  [[gnu::always_inline]] static inline Mask range(int64_t begin, int64_t end) {
    return each_m([&](int i) __attribute__((always_inline)) { return vbicq_u32(below(end, i), below(begin, i)); });
  }
  [[gnu::always_inline]] static inline F32 select(Mask m, F32 a, F32 b) {
    return each([&](int i) __attribute__((always_inline)) { return vbslq_f32(m.v[i], a.v[i], b.v[i]); });
  }

  // ---- i32
  [[gnu::always_inline]] static inline I32 set1_i(int32_t x) {
    return each_i([&](int) __attribute__((always_inline)) { return vdupq_n_s32(x); });
  }
  [[gnu::always_inline]] static inline I32 add_i(I32 a, I32 b) {
    return each_i([&](int i) __attribute__((always_inline)) { return vaddq_s32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline I32 sub_i(I32 a, I32 b) {
    return each_i([&](int i) __attribute__((always_inline)) { return vsubq_s32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline I32 max_i(I32 a, I32 b) {
    return each_i([&](int i) __attribute__((always_inline)) { return vmaxq_s32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline I32 and_i(I32 a, I32 b) {
    return each_i([&](int i) __attribute__((always_inline)) { return vandq_s32(a.v[i], b.v[i]); });
  }
  template <int N>
  [[gnu::always_inline]] static inline I32 shl_i(I32 a) {
    return each_i([&](int i) __attribute__((always_inline)) { return vshlq_n_s32(a.v[i], N); });
  }
  [[gnu::always_inline]] static inline I32 mul_small(I32 a, int n) {
    return each_i([&](int i) __attribute__((always_inline)) { return vmulq_n_s32(a.v[i], n); });
  }
  [[gnu::always_inline]] static inline I32 load_i(const int32_t* p) {
    return each_i([&](int i) __attribute__((always_inline)) { return vld1q_s32(p + 4 * i); });
  }
  [[gnu::always_inline]] static inline void store_i(int32_t* p, I32 a) {
    for (int i = 0; i < 4; ++i) vst1q_s32(p + 4 * i, a.v[i]);
  }
  [[gnu::always_inline]] static inline I32 dot_pairs(I32 a, I32 b, I32 c) {
    return each_i([&](int i) __attribute__((always_inline)) {
      const int16x8_t x = vreinterpretq_s16_s32(a.v[i]), y = vreinterpretq_s16_s32(b.v[i]);
      return vaddq_s32(c.v[i], vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
    });
  }
  template <int N>
  [[gnu::always_inline]] static inline I32 sra_i(I32 a) {
    return each_i([&](int i) __attribute__((always_inline)) { return vshrq_n_s32(a.v[i], N); });
  }
  [[gnu::always_inline]] static inline Mask less_i(I32 a, I32 b) {
    return each_m([&](int i) __attribute__((always_inline)) { return vcltq_s32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline Mask equal_i(I32 a, I32 b) {
    return each_m([&](int i) __attribute__((always_inline)) { return vceqq_s32(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline I32 bits(F32 a) {
    return each_i([&](int i) __attribute__((always_inline)) { return vreinterpretq_s32_f32(a.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 from_bits(I32 a) {
    return each([&](int i) __attribute__((always_inline)) { return vreinterpretq_f32_s32(a.v[i]); });
  }
  [[gnu::always_inline]] static inline F32 to_f32(I32 a) {
    return each([&](int i) __attribute__((always_inline)) { return vcvtq_f32_s32(a.v[i]); });
  }
  [[gnu::always_inline]] static inline I32 load_u8(const void* p) {
    const uint8x16_t b = vld1q_u8(static_cast<const uint8_t*>(p));
    const uint16x8_t low = vmovl_u8(vget_low_u8(b)), high = vmovl_high_u8(b);
    return {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), vreinterpretq_s32_u32(vmovl_high_u16(low)),
             vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), vreinterpretq_s32_u32(vmovl_high_u16(high))}};
  }
  [[gnu::always_inline]] static inline I32 load_i8(const void* p) {
    const int8x16_t b = vld1q_s8(static_cast<const int8_t*>(p));
    const int16x8_t low = vmovl_s8(vget_low_s8(b)), high = vmovl_high_s8(b);
    return {{vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)}};
  }
  [[gnu::always_inline]] static inline void store_i8(int8_t* p, I32 a) {
    const int16x8_t low = vmovn_high_s32(vmovn_s32(a.v[0]), a.v[1]), high = vmovn_high_s32(vmovn_s32(a.v[2]), a.v[3]);
    vst1q_s8(p, vmovn_high_s16(vmovn_s16(low), high));
  }

  // ---- 64 bytes
  [[gnu::always_inline]] static inline U8 load_b(const void* p) {
    const auto* b = static_cast<const uint8_t*>(p);
    return each_b([&](int i) __attribute__((always_inline)) { return vld1q_u8(b + 16 * i); });
  }
  [[gnu::always_inline]] static inline void store_b(void* p, U8 a) {
    for (int i = 0; i < 4; ++i) vst1q_u8(static_cast<uint8_t*>(p) + 16 * i, a.v[i]);
  }
  [[gnu::always_inline]] static inline U8 set1_b(uint8_t x) {
    return each_b([&](int) __attribute__((always_inline)) { return vdupq_n_u8(x); });
  }
  [[gnu::always_inline]] static inline U8 and_b(U8 a, U8 b) {
    return each_b([&](int i) __attribute__((always_inline)) { return vandq_u8(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline U8 or_b(U8 a, U8 b) {
    return each_b([&](int i) __attribute__((always_inline)) { return vorrq_u8(a.v[i], b.v[i]); });
  }
  [[gnu::always_inline]] static inline U8 and_or(U8 a, U8 mask, U8 c) { return or_b(and_b(a, mask), c); }
  template <int N>
  [[gnu::always_inline]] static inline U8 shl_b(U8 a) {
    return each_b([&](int i) __attribute__((always_inline)) { return vshlq_n_u8(a.v[i], N); });
  }
  template <int N>
  [[gnu::always_inline]] static inline U8 shr_b(U8 a) {
    return each_b([&](int i) __attribute__((always_inline)) { return vshrq_n_u8(a.v[i], N); });
  }
  [[gnu::always_inline]] static inline U8 lookup(const int8_t* table, U8 index) {
    const uint8x16_t t = vreinterpretq_u8_s8(vld1q_s8(table));
    return each_b([&](int i) __attribute__((always_inline)) { return vqtbl1q_u8(t, index.v[i]); });
  }

  // ---- the 4-way dot: both sides signed, so the offset comes off the codes.
  template <bool kSigned, int kOffset>
  static constexpr int start_offset() {
    return 0;
  }
  template <bool kSigned, int kOffset>
  [[gnu::always_inline]] static inline U8 finish(U8 code) {
    if constexpr (kSigned || kOffset == 0)
      return code;
    else
      return each_b([&](int i) __attribute__((always_inline)) { return vsubq_u8(code.v[i], vdupq_n_u8(kOffset)); });
  }
  [[gnu::always_inline]] static inline Q load_q(const int8_t* q, int64_t) {
    int32_t four;
    __builtin_memcpy(&four, q, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  template <bool kSigned, int kFlush>
  struct Dot {
    int32x4_t sum[4];
    int32x4_t upper[kDot ? 1 : 4];  // without DotProd: pair sums of outputs 2, 3 of each quarter; sum holds those of 0, 1
    [[gnu::always_inline]] inline void begin(const int32_t*) {
      for (auto& s : sum) s = vdupq_n_s32(0);
      if constexpr (!kDot)
        for (auto& s : upper) s = vdupq_n_s32(0);
    }
    template <int kStep, int kSteps>
    [[gnu::always_inline]] inline void step(U8 code, Q q) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int8x16_t c = vreinterpretq_s8_u8(code.v[i]);
        if constexpr (kDot) {
          sum[i] = vdotq_s32(sum[i], c, q);
        } else {
          sum[i] = vpadalq_s16(sum[i], vmull_s8(vget_low_s8(c), vget_low_s8(q)));
          upper[i] = vpadalq_s16(upper[i], vmull_high_s8(c, q));
        }
      }
    }
    [[gnu::always_inline]] inline I32 end(const int32_t*, int) {
      if constexpr (kDot)
        return {{sum[0], sum[1], sum[2], sum[3]}};
      else
        return each_i([&](int i) __attribute__((always_inline)) { return vpaddq_s32(sum[i], upper[i]); });
    }
  };

  static constexpr bool kPairFactors = false;
  [[gnu::always_inline]] static inline I32 part_factor(I32 a) { return a; }
  [[gnu::always_inline]] static inline I32 add_factors(I32 a, I32 b) { return add_i(a, b); }
  template <bool kSigned, int kFlush>
  struct ScaledDot {
    Dot<kSigned, kFlush> dot;
    [[gnu::always_inline]] inline void begin(const int32_t* start) { dot.begin(start); }
    template <int kStep, int kSteps, typename Factor>
    [[gnu::always_inline]] inline void step(U8 code, Q q, Factor factor, I32* sum) {
      dot.template step<kStep, kSteps>(code, q);
      if constexpr (kStep + 1 == kSteps) {
        const I32 part = dot.end(nullptr, 0), by = factor(0);
        *sum = each_i([&](int i) __attribute__((always_inline)) { return vmlaq_s32(sum->v[i], part.v[i], by.v[i]); });
      }
    }
  };

  // ---- across lanes
  [[gnu::always_inline]] static inline float reduce_add(F32 a) {
    const float32x4_t four = fold4(a);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  [[gnu::always_inline]] static inline float reduce_max(F32 a) {
    const auto larger = [](float32x4_t x, float32x4_t y) __attribute__((always_inline)) { return vbslq_f32(vcgtq_f32(x, y), x, y); };
    float four[4];
    vst1q_f32(four, larger(larger(a.v[0], a.v[2]), larger(a.v[1], a.v[3])));
    const float x = four[0] > four[2] ? four[0] : four[2], y = four[1] > four[3] ? four[1] : four[3];
    return x > y ? x : y;
  }
  [[gnu::always_inline]] static inline int32_t reduce_add_i(I32 a) { return vaddvq_s32(vaddq_s32(vaddq_s32(a.v[0], a.v[1]), vaddq_s32(a.v[2], a.v[3]))); }
  [[gnu::always_inline]] static inline int32_t reduce_max_i(I32 a) { return vmaxvq_s32(vmaxq_s32(vmaxq_s32(a.v[0], a.v[1]), vmaxq_s32(a.v[2], a.v[3]))); }
  [[gnu::always_inline]] static inline F32 reduce_add16(const F32* a) {
    return each([&](int i) __attribute__((always_inline)) {
      const float32x4_t x = fold2(fold4(a[4 * i]), fold4(a[4 * i + 1])), y = fold2(fold4(a[4 * i + 2]), fold4(a[4 * i + 3]));
      return vaddq_f32(vuzp1q_f32(x, y), vuzp2q_f32(x, y));
    });
  }

  [[gnu::always_inline]] static inline void prefetch(const void* p) { __builtin_prefetch(p); }

 private:
  // Lanes i, i + 8, then i + 4.
  [[gnu::always_inline]] static inline float32x4_t fold4(F32 a) { return vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3])); }
  // The halves of x added, beside those of y.
  [[gnu::always_inline]] static inline float32x4_t fold2(float32x4_t x, float32x4_t y) {
    return vaddq_f32(vcombine_f32(vget_low_f32(x), vget_low_f32(y)), vcombine_f32(vget_high_f32(x), vget_high_f32(y)));
  }
};

}  // namespace carat::kernels
