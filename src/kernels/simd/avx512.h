#pragma once
// The vocabulary (meaning: simd/scalar.h) in AVX-512 F, BW, DQ, VL; kVnni: the 4-way dot in one instruction.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace carat::kernels {

template <bool kVnni>
struct Avx512 {
  static constexpr int kQuantRows = 4;
  static constexpr int kQuantPanels = 2;
  static constexpr int kSuperRows = 6;  // of superblock types
  static constexpr int kSuperPanels = 2;
  static constexpr int kDenseRows = 8;
  static constexpr int kDensePanels = 3;
  static constexpr int kDecodePanels = 4;
  static constexpr int kAttendRows = 8;
  static constexpr int kOneRows = 4;  // one-tensor output: rows x head dims
  static constexpr int kOneDims = 4;
  static constexpr bool kOneInstructionDot = kVnni;
  using ManyRows = Avx512;
  static constexpr int kDotRows = 1;
  // maddubs adds two products in 16 bits; this many such sums of code * 127 fit.
  static constexpr int flush_every(int max_code) {
    if (kVnni) return 1;
    const int n = 32767 / (2 * 127 * max_code);
    return n > 8 ? 8 : n;
  }

  using F32 = __m512;
  using I32 = __m512i;
  using U8 = __m512i;
  using Mask = __mmask16;
  using Q = __m512i;

  [[gnu::always_inline]] static inline Mask first(int64_t n) { return static_cast<Mask>(n >= 16 ? 0xFFFFu : (1u << n) - 1u); }

  // ---- f32
  [[gnu::always_inline]] static inline F32 zero() { return _mm512_setzero_ps(); }
  [[gnu::always_inline]] static inline F32 set1(float x) { return _mm512_set1_ps(x); }
  [[gnu::always_inline]] static inline F32 load(const float* p) { return _mm512_loadu_ps(p); }
  [[gnu::always_inline]] static inline void store(float* p, F32 a) { _mm512_storeu_ps(p, a); }
  [[gnu::always_inline]] static inline F32 load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  [[gnu::always_inline]] static inline void store_n(float* p, F32 a, int64_t n) { _mm512_mask_storeu_ps(p, first(n), a); }
  [[gnu::always_inline]] static inline F32 load_f16(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }
  [[gnu::always_inline]] static inline F32 load_f16_n(const void* p, int64_t n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p)); }
  [[gnu::always_inline]] static inline F32 load_bf16(const void* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
  }
  [[gnu::always_inline]] static inline void store_f16(void* p, F32 a) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  [[gnu::always_inline]] static inline void store_f16_n(void* p, F32 a, int64_t n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  [[gnu::always_inline]] static inline F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
  [[gnu::always_inline]] static inline F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
  [[gnu::always_inline]] static inline F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
  [[gnu::always_inline]] static inline F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
  [[gnu::always_inline]] static inline F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
  [[gnu::always_inline]] static inline F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
  [[gnu::always_inline]] static inline F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
  [[gnu::always_inline]] static inline F32 neg(F32 a) { return from_bits(_mm512_xor_si512(bits(a), _mm512_set1_epi32(INT32_MIN))); }
  [[gnu::always_inline]] static inline F32 abs(F32 a) { return from_bits(_mm512_and_si512(bits(a), _mm512_set1_epi32(INT32_MAX))); }
  [[gnu::always_inline]] static inline F32 copy_sign(F32 magnitude, F32 sign) {
    return from_bits(
        _mm512_or_si512(_mm512_and_si512(bits(magnitude), _mm512_set1_epi32(INT32_MAX)), _mm512_and_si512(bits(sign), _mm512_set1_epi32(INT32_MIN))));
  }
  [[gnu::always_inline]] static inline Mask range(int64_t begin, int64_t end) {
    const int64_t b = begin < 0 ? 0 : begin, e = end < 0 ? 0 : end;
    return static_cast<Mask>(first(e) & ~first(b));
  }
  [[gnu::always_inline]] static inline F32 select(Mask m, F32 a, F32 b) { return _mm512_mask_blend_ps(m, b, a); }

  // ---- i32
  [[gnu::always_inline]] static inline I32 set1_i(int32_t x) { return _mm512_set1_epi32(x); }
  [[gnu::always_inline]] static inline I32 add_i(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
  [[gnu::always_inline]] static inline I32 sub_i(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
  [[gnu::always_inline]] static inline I32 max_i(I32 a, I32 b) { return _mm512_max_epi32(a, b); }
  [[gnu::always_inline]] static inline I32 and_i(I32 a, I32 b) { return _mm512_and_si512(a, b); }
  template <int N>
  [[gnu::always_inline]] static inline I32 shl_i(I32 a) {
    return _mm512_slli_epi32(a, N);
  }
  [[gnu::always_inline]] static inline I32 mul_small(I32 a, int n) { return _mm512_madd_epi16(a, _mm512_set1_epi32(n)); }  // n has no upper half
  [[gnu::always_inline]] static inline I32 load_i(const int32_t* p) { return _mm512_loadu_si512(p); }
  [[gnu::always_inline]] static inline void store_i(int32_t* p, I32 a) { _mm512_storeu_si512(p, a); }
  [[gnu::always_inline]] static inline I32 dot_pairs(I32 a, I32 b, I32 c) {
    if constexpr (kVnni)
      return _mm512_dpwssd_epi32(c, a, b);
    else
      return _mm512_add_epi32(c, _mm512_madd_epi16(a, b));
  }
  template <int N>
  [[gnu::always_inline]] static inline I32 sra_i(I32 a) {
    return _mm512_srai_epi32(a, N);
  }
  [[gnu::always_inline]] static inline Mask less_i(I32 a, I32 b) { return _mm512_cmpgt_epi32_mask(b, a); }
  [[gnu::always_inline]] static inline Mask equal_i(I32 a, I32 b) { return _mm512_cmpeq_epi32_mask(a, b); }
  [[gnu::always_inline]] static inline I32 bits(F32 a) { return _mm512_castps_si512(a); }
  [[gnu::always_inline]] static inline F32 from_bits(I32 a) { return _mm512_castsi512_ps(a); }
  [[gnu::always_inline]] static inline F32 to_f32(I32 a) { return _mm512_cvtepi32_ps(a); }
  [[gnu::always_inline]] static inline I32 load_u8(const void* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  [[gnu::always_inline]] static inline I32 load_i8(const void* p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  [[gnu::always_inline]] static inline void store_i8(int8_t* p, I32 a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a)); }

  // ---- 64 bytes
  [[gnu::always_inline]] static inline U8 load_b(const void* p) { return _mm512_loadu_si512(p); }
  [[gnu::always_inline]] static inline void store_b(void* p, U8 a) { _mm512_storeu_si512(p, a); }
  [[gnu::always_inline]] static inline U8 set1_b(uint8_t x) { return _mm512_set1_epi8(static_cast<char>(x)); }
  [[gnu::always_inline]] static inline U8 and_b(U8 a, U8 b) { return _mm512_and_si512(a, b); }
  [[gnu::always_inline]] static inline U8 or_b(U8 a, U8 b) { return _mm512_or_si512(a, b); }
  [[gnu::always_inline]] static inline U8 and_or(U8 a, U8 mask, U8 c) { return _mm512_ternarylogic_epi32(a, mask, c, 0xEA); }
  template <int N>
  [[gnu::always_inline]] static inline U8 shl_b(U8 a) {
    return _mm512_slli_epi16(a, N);
  }
  template <int N>
  [[gnu::always_inline]] static inline U8 shr_b(U8 a) {
    return _mm512_srli_epi16(a, N);
  }
  [[gnu::always_inline]] static inline U8 lookup(const int8_t* table, U8 index) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table))), index);
  }

  // ---- the 4-way dot: u8 x s8. VNNI takes signed codes with 128 added; maddubs takes their magnitude, the sign goes to the activation.
  template <bool kSigned, int kOffset>
  static constexpr int start_offset() {
    return kSigned ? (kVnni ? 128 : 0) : kOffset;
  }
  template <bool kSigned, int kOffset>
  [[gnu::always_inline]] static inline U8 finish(U8 code) {
    if constexpr (kSigned && kVnni)
      return _mm512_xor_si512(code, set1_b(0x80));
    else
      return code;
  }
  [[gnu::always_inline]] static inline Q load_q(const int8_t* q, int64_t) {
    int32_t four;
    __builtin_memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
  }
  template <bool kSigned, int kFlush>
  struct Dot {
    __m512i sum, pairs;
    [[gnu::always_inline]] inline void begin(const int32_t* start) {
      if constexpr (kVnni) sum = _mm512_set1_epi32(*start);
    }
    template <int kStep, int kSteps>
    [[gnu::always_inline]] inline void step(U8 code, Q q) {
      if constexpr (kVnni) {
        sum = _mm512_dpbusd_epi32(sum, code, q);
      } else {
        __m512i p;
        if constexpr (kSigned)
          p = _mm512_maddubs_epi16(_mm512_abs_epi8(code), _mm512_mask_sub_epi8(q, _mm512_movepi8_mask(code), _mm512_setzero_si512(), q));
        else
          p = _mm512_maddubs_epi16(code, q);
        pairs = kStep % kFlush == 0 ? p : _mm512_add_epi16(pairs, p);
        if constexpr ((kStep + 1) % kFlush == 0 || kStep + 1 == kSteps) {
          const auto quads = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
          sum = kStep < kFlush ? quads : _mm512_add_epi32(sum, quads);
        }
      }
    }
    [[gnu::always_inline]] inline I32 end(const int32_t* start, int) {
      if constexpr (kVnni || kSigned)
        return sum;
      else
        return _mm512_add_epi32(sum, _mm512_set1_epi32(*start));
    }
  };

  // maddubs leaves pairs in 16 bits: the factor, twice in its lane, widens and scales them in one instruction.
  static constexpr bool kPairFactors = !kVnni;
  [[gnu::always_inline]] static inline I32 part_factor(I32 a) { return kPairFactors ? add_i(and_i(a, set1_i(0xFFFF)), shl_i<16>(a)) : a; }
  [[gnu::always_inline]] static inline I32 add_factors(I32 a, I32 b) { return kPairFactors ? _mm512_add_epi16(a, b) : _mm512_add_epi32(a, b); }
  template <bool kSigned, int kFlush>
  struct ScaledDot {
    __m512i part;  // VNNI: the sum of the part; else pairs
    [[gnu::always_inline]] inline void begin(const int32_t* start) {
      if constexpr (kVnni) part = _mm512_set1_epi32(*start);
    }
    template <int kStep, int kSteps, typename Factor>
    [[gnu::always_inline]] inline void step(U8 code, Q q, Factor factor, I32* sum) {
      if constexpr (kVnni) {
        part = _mm512_dpbusd_epi32(part, code, q);
        if constexpr (kStep + 1 == kSteps) *sum = _mm512_add_epi32(*sum, _mm512_mullo_epi32(part, factor(0)));
      } else {
        __m512i p;
        if constexpr (kSigned)
          p = _mm512_maddubs_epi16(_mm512_abs_epi8(code), _mm512_mask_sub_epi8(q, _mm512_movepi8_mask(code), _mm512_setzero_si512(), q));
        else
          p = _mm512_maddubs_epi16(code, q);
        part = kStep % kFlush == 0 ? p : _mm512_add_epi16(part, p);
        if constexpr ((kStep + 1) % kFlush == 0 || kStep + 1 == kSteps) *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(part, factor(0)));
      }
    }
  };

  // ---- across lanes
  [[gnu::always_inline]] static inline float reduce_add(F32 a) {
    const __m256 v8 = _mm256_add_ps(_mm512_castps512_ps256(a), upper(a));
    const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_add_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
  }
  [[gnu::always_inline]] static inline float reduce_max(F32 a) {
    const __m256 v8 = _mm256_max_ps(_mm512_castps512_ps256(a), upper(a));
    const __m128 v4 = _mm_max_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_max_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_max_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
  }
  [[gnu::always_inline]] static inline int32_t reduce_add_i(I32 a) {
    const __m256i v8 = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    const __m128i v4 = _mm_add_epi32(_mm256_castsi256_si128(v8), _mm256_extracti128_si256(v8, 1));
    const __m128i v2 = _mm_add_epi32(v4, _mm_shuffle_epi32(v4, 0xEE));
    return _mm_cvtsi128_si32(_mm_add_epi32(v2, _mm_shuffle_epi32(v2, 1)));
  }
  [[gnu::always_inline]] static inline int32_t reduce_max_i(I32 a) {
    const __m256i v8 = _mm256_max_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    const __m128i v4 = _mm_max_epi32(_mm256_castsi256_si128(v8), _mm256_extracti128_si256(v8, 1));
    const __m128i v2 = _mm_max_epi32(v4, _mm_shuffle_epi32(v4, 0xEE));
    return _mm_cvtsi128_si32(_mm_max_epi32(v2, _mm_shuffle_epi32(v2, 1)));
  }
  // Sixteen trees at once: each level adds the halves of two vectors and lays the results side by side.
  [[gnu::always_inline]] static inline F32 reduce_add16(const F32* a) {
    F32 four[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const F32 x = fold8(a[j], a[4 + j]), y = fold8(a[8 + j], a[12 + j]);
      four[j] = add(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xDD));
    }
    const F32 x = add(_mm512_shuffle_ps(four[0], four[1], 0x44), _mm512_shuffle_ps(four[0], four[1], 0xEE));
    const F32 y = add(_mm512_shuffle_ps(four[2], four[3], 0x44), _mm512_shuffle_ps(four[2], four[3], 0xEE));
    return add(_mm512_shuffle_ps(x, y, 0x88), _mm512_shuffle_ps(x, y, 0xDD));
  }

  [[gnu::always_inline]] static inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

 private:
  [[gnu::always_inline]] static inline __m256 upper(F32 a) { return _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(a), 1)); }
  [[gnu::always_inline]] static inline F32 fold8(F32 a, F32 b) { return add(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE)); }
};

}  // namespace carat::kernels
