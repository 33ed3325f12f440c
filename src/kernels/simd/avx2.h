#pragma once
// The vocabulary (meaning: simd/scalar.h) in AVX2, FMA, F16C: a vector is two halves. kVnni: AVX-VNNI's 4-way dot.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace carat::kernels {

template <bool kVnni>
struct Avx2 {
  static constexpr int kQuantRows = 4;
  static constexpr int kQuantPanels = 1;
  static constexpr int kSuperRows = 3;  // of superblock types
  static constexpr int kSuperPanels = 1;
  static constexpr int kDenseRows = 6;
  static constexpr int kDensePanels = 1;
  static constexpr int kDecodePanels = 4;
  static constexpr int kAttendRows = 2;
  static constexpr int kOneRows = 2;  // one-tensor output: rows x head dims
  static constexpr int kOneDims = 2;
  static constexpr bool kOneInstructionDot = kVnni;
  using ManyRows = Avx2;
  static constexpr int kDotRows = 1;
  // maddubs adds two products in 16 bits; this many such sums of code * 127 fit.
  static constexpr int flush_every(int max_code) {
    if (kVnni) return 1;
    const int n = 32767 / (2 * 127 * max_code);
    return n > 8 ? 8 : n;
  }

  struct F32 {
    __m256 v[2];
  };
  struct I32 {
    __m256i v[2];
  };
  struct U8 {
    __m256i v[2];
  };
  struct Mask {
    __m256 v[2];
  };
  using Q = __m256i;

  template <typename F>
  [[gnu::always_inline]] static inline F32 each(F f) {
    return {{f(0), f(1)}};
  }
  template <typename F>
  [[gnu::always_inline]] static inline I32 each_i(F f) {
    return {{f(0), f(1)}};
  }
  template <typename F>
  [[gnu::always_inline]] static inline U8 each_b(F f) {
    return {{f(0), f(1)}};
  }
  // Here and now: left alone, the compiler makes all products of a sum first, for which there are no registers.
  [[gnu::always_inline]] static inline void stay(__m256i& v) { asm("" : "+x"(v)); }
  // Lanes below n, as full words.
  [[gnu::always_inline]] static inline __m256i below(int64_t n, int half) {
    const int32_t left = static_cast<int32_t>(n > 16 ? 16 : n < 0 ? 0 : n) - 8 * half;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  // ---- f32
  [[gnu::always_inline]] static inline F32 zero() { return {{_mm256_setzero_ps(), _mm256_setzero_ps()}}; }
  [[gnu::always_inline]] static inline F32 set1(float x) { return {{_mm256_set1_ps(x), _mm256_set1_ps(x)}}; }
  [[gnu::always_inline]] static inline F32 load(const float* p) { return {{_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}}; }
  [[gnu::always_inline]] static inline void store(float* p, F32 a) {
    _mm256_storeu_ps(p, a.v[0]);
    _mm256_storeu_ps(p + 8, a.v[1]);
  }
  [[gnu::always_inline]] static inline F32 load_n(const float* p, int64_t n) {
    if (n >= 16) return load(p);
    return {{_mm256_maskload_ps(p, below(n, 0)), _mm256_maskload_ps(p + 8, below(n, 1))}};
  }
  [[gnu::always_inline]] static inline void store_n(float* p, F32 a, int64_t n) {
    if (n >= 16) return store(p, a);
    _mm256_maskstore_ps(p, below(n, 0), a.v[0]);
    _mm256_maskstore_ps(p + 8, below(n, 1), a.v[1]);
  }
  [[gnu::always_inline]] static inline F32 load_f16(const void* p) {
    const auto* h = static_cast<const __m128i*>(p);
    return {{_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))}};
  }
  [[gnu::always_inline]] static inline F32 load_f16_n(const void* p, int64_t n) {
    uint16_t h[16] = {};
    __builtin_memcpy(h, p, static_cast<size_t>(2 * (n > 16 ? 16 : n)));
    return load_f16(h);
  }
  [[gnu::always_inline]] static inline F32 load_bf16(const void* p) {
    const auto* h = static_cast<const __m128i*>(p);
    return each([&](int i)
                    __attribute__((always_inline)) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(h + i)), 16)); });
  }
  [[gnu::always_inline]] static inline void store_f16(void* p, F32 a) {
    auto* h = static_cast<__m128i*>(p);
    _mm_storeu_si128(h, _mm256_cvtps_ph(a.v[0], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128(h + 1, _mm256_cvtps_ph(a.v[1], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  [[gnu::always_inline]] static inline void store_f16_n(void* p, F32 a, int64_t n) {
    if (n >= 16) return store_f16(p, a);
    uint16_t h[16];
    store_f16(h, a);
    __builtin_memcpy(p, h, static_cast<size_t>(2 * n));
  }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) { return {{_mm256_add_ps(a.v[0], b.v[0]), _mm256_add_ps(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline F32 sub(F32 a, F32 b) { return {{_mm256_sub_ps(a.v[0], b.v[0]), _mm256_sub_ps(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) { return {{_mm256_mul_ps(a.v[0], b.v[0]), _mm256_mul_ps(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline F32 div(F32 a, F32 b) { return {{_mm256_div_ps(a.v[0], b.v[0]), _mm256_div_ps(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline F32 fma(F32 a, F32 b, F32 c) {
    return {{_mm256_fmadd_ps(a.v[0], b.v[0], c.v[0]), _mm256_fmadd_ps(a.v[1], b.v[1], c.v[1])}};
  }
  [[gnu::always_inline]] static inline F32 max(F32 a, F32 b) { return {{_mm256_max_ps(a.v[0], b.v[0]), _mm256_max_ps(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline F32 min(F32 a, F32 b) { return {{_mm256_min_ps(a.v[0], b.v[0]), _mm256_min_ps(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline F32 neg(F32 a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {{_mm256_xor_ps(a.v[0], sign), _mm256_xor_ps(a.v[1], sign)}};
  }
  [[gnu::always_inline]] static inline F32 abs(F32 a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {{_mm256_andnot_ps(sign, a.v[0]), _mm256_andnot_ps(sign, a.v[1])}};
  }
  [[gnu::always_inline]] static inline F32 copy_sign(F32 magnitude, F32 sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return each([&](int i) __attribute__((always_inline)) { return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v[i]), _mm256_and_ps(bit, sign.v[i])); });
  }
  [[gnu::always_inline]] static inline Mask range(int64_t begin, int64_t end) {
    return {
        {_mm256_castsi256_ps(_mm256_andnot_si256(below(begin, 0), below(end, 0))), _mm256_castsi256_ps(_mm256_andnot_si256(below(begin, 1), below(end, 1)))}};
  }
  [[gnu::always_inline]] static inline F32 select(Mask m, F32 a, F32 b) {
    return {{_mm256_blendv_ps(b.v[0], a.v[0], m.v[0]), _mm256_blendv_ps(b.v[1], a.v[1], m.v[1])}};
  }

  // ---- i32
  [[gnu::always_inline]] static inline I32 set1_i(int32_t x) { return {{_mm256_set1_epi32(x), _mm256_set1_epi32(x)}}; }
  [[gnu::always_inline]] static inline I32 add_i(I32 a, I32 b) { return {{_mm256_add_epi32(a.v[0], b.v[0]), _mm256_add_epi32(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline I32 sub_i(I32 a, I32 b) { return {{_mm256_sub_epi32(a.v[0], b.v[0]), _mm256_sub_epi32(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline I32 max_i(I32 a, I32 b) { return {{_mm256_max_epi32(a.v[0], b.v[0]), _mm256_max_epi32(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline I32 and_i(I32 a, I32 b) { return {{_mm256_and_si256(a.v[0], b.v[0]), _mm256_and_si256(a.v[1], b.v[1])}}; }
  template <int N>
  [[gnu::always_inline]] static inline I32 shl_i(I32 a) {
    return {{_mm256_slli_epi32(a.v[0], N), _mm256_slli_epi32(a.v[1], N)}};
  }
  [[gnu::always_inline]] static inline I32 mul_small(I32 a, int n) {
    const __m256i by = _mm256_set1_epi32(n);  // int16 in the lower half, nothing in the upper: the pair's sum is the product
    return {{_mm256_madd_epi16(a.v[0], by), _mm256_madd_epi16(a.v[1], by)}};
  }
  [[gnu::always_inline]] static inline I32 load_i(const int32_t* p) {
    const auto* b = reinterpret_cast<const __m256i*>(p);
    return {{_mm256_loadu_si256(b), _mm256_loadu_si256(b + 1)}};
  }
  [[gnu::always_inline]] static inline void store_i(int32_t* p, I32 a) {
    auto* b = reinterpret_cast<__m256i*>(p);
    _mm256_storeu_si256(b, a.v[0]);
    _mm256_storeu_si256(b + 1, a.v[1]);
  }
  [[gnu::always_inline]] static inline I32 dot_pairs(I32 a, I32 b, I32 c) {
    return add_i({{_mm256_madd_epi16(a.v[0], b.v[0]), _mm256_madd_epi16(a.v[1], b.v[1])}}, c);
  }
  template <int N>
  [[gnu::always_inline]] static inline I32 sra_i(I32 a) {
    return {{_mm256_srai_epi32(a.v[0], N), _mm256_srai_epi32(a.v[1], N)}};
  }
  [[gnu::always_inline]] static inline Mask less_i(I32 a, I32 b) {
    return {{_mm256_castsi256_ps(_mm256_cmpgt_epi32(b.v[0], a.v[0])), _mm256_castsi256_ps(_mm256_cmpgt_epi32(b.v[1], a.v[1]))}};
  }
  [[gnu::always_inline]] static inline Mask equal_i(I32 a, I32 b) {
    return {{_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v[0], b.v[0])), _mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v[1], b.v[1]))}};
  }
  [[gnu::always_inline]] static inline I32 bits(F32 a) { return {{_mm256_castps_si256(a.v[0]), _mm256_castps_si256(a.v[1])}}; }
  [[gnu::always_inline]] static inline F32 from_bits(I32 a) { return {{_mm256_castsi256_ps(a.v[0]), _mm256_castsi256_ps(a.v[1])}}; }
  [[gnu::always_inline]] static inline F32 to_f32(I32 a) { return {{_mm256_cvtepi32_ps(a.v[0]), _mm256_cvtepi32_ps(a.v[1])}}; }
  [[gnu::always_inline]] static inline I32 load_u8(const void* p) {
    const __m128i b = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return {{_mm256_cvtepu8_epi32(b), _mm256_cvtepu8_epi32(_mm_srli_si128(b, 8))}};
  }
  [[gnu::always_inline]] static inline I32 load_i8(const void* p) {
    const __m128i b = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return {{_mm256_cvtepi8_epi32(b), _mm256_cvtepi8_epi32(_mm_srli_si128(b, 8))}};
  }
  [[gnu::always_inline]] static inline void store_i8(int8_t* p, I32 a) {
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.v[0], a.v[1]), 0xD8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  }

  // ---- 64 bytes
  [[gnu::always_inline]] static inline U8 load_b(const void* p) {
    const auto* b = static_cast<const __m256i*>(p);
    return {{_mm256_loadu_si256(b), _mm256_loadu_si256(b + 1)}};
  }
  [[gnu::always_inline]] static inline void store_b(void* p, U8 a) {
    auto* b = static_cast<__m256i*>(p);
    _mm256_storeu_si256(b, a.v[0]);
    _mm256_storeu_si256(b + 1, a.v[1]);
  }
  [[gnu::always_inline]] static inline U8 set1_b(uint8_t x) { return {{_mm256_set1_epi8(static_cast<char>(x)), _mm256_set1_epi8(static_cast<char>(x))}}; }
  [[gnu::always_inline]] static inline U8 and_b(U8 a, U8 b) { return {{_mm256_and_si256(a.v[0], b.v[0]), _mm256_and_si256(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline U8 or_b(U8 a, U8 b) { return {{_mm256_or_si256(a.v[0], b.v[0]), _mm256_or_si256(a.v[1], b.v[1])}}; }
  [[gnu::always_inline]] static inline U8 and_or(U8 a, U8 mask, U8 c) { return or_b(and_b(a, mask), c); }
  template <int N>
  [[gnu::always_inline]] static inline U8 shl_b(U8 a) {
    return {{_mm256_slli_epi16(a.v[0], N), _mm256_slli_epi16(a.v[1], N)}};
  }
  template <int N>
  [[gnu::always_inline]] static inline U8 shr_b(U8 a) {
    return {{_mm256_srli_epi16(a.v[0], N), _mm256_srli_epi16(a.v[1], N)}};
  }
  [[gnu::always_inline]] static inline U8 lookup(const int8_t* table, U8 index) {
    const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    return {{_mm256_shuffle_epi8(t, index.v[0]), _mm256_shuffle_epi8(t, index.v[1])}};
  }

  // ---- the 4-way dot: u8 x s8. VNNI takes signed codes with 128 added; maddubs takes their magnitude, the sign goes to the activation.
  template <bool kSigned, int kOffset>
  static constexpr int start_offset() {
    return kSigned ? (kVnni ? 128 : 0) : kOffset;
  }
  template <bool kSigned, int kOffset>
  [[gnu::always_inline]] static inline U8 finish(U8 code) {
    if constexpr (kSigned && kVnni)
      return {{_mm256_xor_si256(code.v[0], _mm256_set1_epi8(-128)), _mm256_xor_si256(code.v[1], _mm256_set1_epi8(-128))}};
    else
      return code;
  }
  [[gnu::always_inline]] static inline Q load_q(const int8_t* q, int64_t) {
    int32_t four;
    __builtin_memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
  }
  template <bool kSigned, int kFlush>
  struct Dot {
    __m256i sum[2], pairs[2];
    [[gnu::always_inline]] inline void begin(const int32_t* start) {
      if constexpr (kVnni) sum[0] = sum[1] = _mm256_set1_epi32(*start);
    }
    template <int kStep, int kSteps>
    [[gnu::always_inline]] inline void step(U8 code, Q q) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        if constexpr (kVnni) {
          sum[i] = _mm256_dpbusd_avx_epi32(sum[i], code.v[i], q);
        } else {
          __m256i p;
          if constexpr (kSigned)
            p = _mm256_maddubs_epi16(_mm256_abs_epi8(code.v[i]), _mm256_sign_epi8(q, code.v[i]));
          else
            p = _mm256_maddubs_epi16(code.v[i], q);
          pairs[i] = kStep % kFlush == 0 ? p : _mm256_add_epi16(pairs[i], p);
          stay(pairs[i]);
          if constexpr ((kStep + 1) % kFlush == 0 || kStep + 1 == kSteps) {
            const auto quads = _mm256_madd_epi16(pairs[i], _mm256_set1_epi16(1));
            sum[i] = kStep < kFlush ? quads : _mm256_add_epi32(sum[i], quads);
          }
        }
      }
    }
    [[gnu::always_inline]] inline I32 end(const int32_t* start, int) {
      if constexpr (kVnni || kSigned) return {{sum[0], sum[1]}};
      const __m256i s = _mm256_set1_epi32(*start);
      return {{_mm256_add_epi32(sum[0], s), _mm256_add_epi32(sum[1], s)}};
    }
  };

  // maddubs leaves pairs in 16 bits: the factor, twice in its lane, widens and scales them in one instruction.
  static constexpr bool kPairFactors = !kVnni;
  [[gnu::always_inline]] static inline I32 part_factor(I32 a) { return kPairFactors ? add_i(and_i(a, set1_i(0xFFFF)), shl_i<16>(a)) : a; }
  [[gnu::always_inline]] static inline I32 add_factors(I32 a, I32 b) {
    if constexpr (kPairFactors)
      return {{_mm256_add_epi16(a.v[0], b.v[0]), _mm256_add_epi16(a.v[1], b.v[1])}};
    else
      return add_i(a, b);
  }
  template <bool kSigned, int kFlush>
  struct ScaledDot {
    __m256i part[2];  // VNNI: the sum of the part; else pairs
    [[gnu::always_inline]] inline void begin(const int32_t* start) {
      if constexpr (kVnni) part[0] = part[1] = _mm256_set1_epi32(*start);
    }
    template <int kStep, int kSteps, typename Factor>
    [[gnu::always_inline]] inline void step(U8 code, Q q, Factor factor, I32* sum) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        if constexpr (kVnni) {
          part[i] = _mm256_dpbusd_avx_epi32(part[i], code.v[i], q);
        } else {
          __m256i p;
          if constexpr (kSigned)
            p = _mm256_maddubs_epi16(_mm256_abs_epi8(code.v[i]), _mm256_sign_epi8(q, code.v[i]));
          else
            p = _mm256_maddubs_epi16(code.v[i], q);
          part[i] = kStep % kFlush == 0 ? p : _mm256_add_epi16(part[i], p);
          stay(part[i]);
        }
      }
      if constexpr (kVnni ? kStep + 1 == kSteps : (kStep + 1) % kFlush == 0 || kStep + 1 == kSteps) {
        const I32 by = factor(0);
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) sum->v[i] = _mm256_add_epi32(sum->v[i], kVnni ? _mm256_mullo_epi32(part[i], by.v[i]) : _mm256_madd_epi16(part[i], by.v[i]));
      }
    }
  };

  // ---- across lanes
  [[gnu::always_inline]] static inline float reduce_add(F32 a) {
    const __m256 v8 = _mm256_add_ps(a.v[0], a.v[1]);
    const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_add_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
  }
  [[gnu::always_inline]] static inline float reduce_max(F32 a) {
    const __m256 v8 = _mm256_max_ps(a.v[0], a.v[1]);
    const __m128 v4 = _mm_max_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_max_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_max_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
  }
  [[gnu::always_inline]] static inline int32_t reduce_add_i(I32 a) {
    const __m256i v8 = _mm256_add_epi32(a.v[0], a.v[1]);
    const __m128i v4 = _mm_add_epi32(_mm256_castsi256_si128(v8), _mm256_extracti128_si256(v8, 1));
    const __m128i v2 = _mm_add_epi32(v4, _mm_shuffle_epi32(v4, 0xEE));
    return _mm_cvtsi128_si32(_mm_add_epi32(v2, _mm_shuffle_epi32(v2, 1)));
  }
  [[gnu::always_inline]] static inline int32_t reduce_max_i(I32 a) {
    const __m256i v8 = _mm256_max_epi32(a.v[0], a.v[1]);
    const __m128i v4 = _mm_max_epi32(_mm256_castsi256_si128(v8), _mm256_extracti128_si256(v8, 1));
    const __m128i v2 = _mm_max_epi32(v4, _mm_shuffle_epi32(v4, 0xEE));
    return _mm_cvtsi128_si32(_mm_max_epi32(v2, _mm_shuffle_epi32(v2, 1)));
  }
  // Eight trees at once, twice: each level adds the halves of two vectors and lays the results side by side.
  [[gnu::always_inline]] static inline F32 reduce_add16(const F32* a) { return {{reduce_add8(a), reduce_add8(a + 8)}}; }

  [[gnu::always_inline]] static inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

 private:
  [[gnu::always_inline]] static inline __m256 reduce_add8(const F32* a) {
    __m256 two[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m256 x = _mm256_add_ps(a[j].v[0], a[j].v[1]), y = _mm256_add_ps(a[4 + j].v[0], a[4 + j].v[1]);
      two[j] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
    }
    const __m256 x = _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x44), _mm256_shuffle_ps(two[0], two[1], 0xEE));
    const __m256 y = _mm256_add_ps(_mm256_shuffle_ps(two[2], two[3], 0x44), _mm256_shuffle_ps(two[2], two[3], 0xEE));
    return _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xDD));
  }
};

}  // namespace carat::kernels
