#pragma once
// AVX-512 on an AVX2 machine: SIMDe under the native names, and by halves of 256 bits what SIMDe 0.7.4 lacks.
#include <immintrin.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstdint>

namespace carat::kernels::simde_halves {

struct Halves {
  __m256i v[2];
};

template <typename V>
Halves split(V a) {
  static_assert(sizeof(V) == sizeof(Halves));
  return __builtin_bit_cast(Halves, a);
}
inline simde__m512 join_ps(__m256 low, __m256 high) { return __builtin_bit_cast(simde__m512, (Halves{{_mm256_castps_si256(low), _mm256_castps_si256(high)}})); }
inline simde__m512i join(__m256i low, __m256i high) { return __builtin_bit_cast(simde__m512i, (Halves{{low, high}})); }

inline simde__m512 cvtph_ps(__m256i h) { return join_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(h)), _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1))); }
inline __m256i cvtps_ph(simde__m512 a) {
  const Halves h = split(a);
  return _mm256_set_m128i(_mm256_cvtps_ph(_mm256_castsi256_ps(h.v[1]), 0), _mm256_cvtps_ph(_mm256_castsi256_ps(h.v[0]), 0));
}
inline simde__m512 cvtepi32_ps(simde__m512i a) {
  const Halves h = split(a);
  return join_ps(_mm256_cvtepi32_ps(h.v[0]), _mm256_cvtepi32_ps(h.v[1]));
}
inline simde__m512i cvtepi8_epi32(__m128i b) { return join(_mm256_cvtepi8_epi32(b), _mm256_cvtepi8_epi32(_mm_srli_si128(b, 8))); }
inline simde__m512i cvtepu8_epi32(__m128i b) { return join(_mm256_cvtepu8_epi32(b), _mm256_cvtepu8_epi32(_mm_srli_si128(b, 8))); }
inline simde__m512i cvtepu16_epi32(__m256i w) {
  return join(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(w)), _mm256_cvtepu16_epi32(_mm256_extracti128_si256(w, 1)));
}
inline __m128i cvtepi32_epi8(simde__m512i a) {
  int32_t wide[16];
  int8_t narrow[16];
  __builtin_memcpy(wide, &a, sizeof wide);
  for (int i = 0; i < 16; ++i) narrow[i] = static_cast<int8_t>(wide[i]);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(narrow));
}
inline simde__m512i srai_epi32(simde__m512i a, int n) {
  const Halves h = split(a);
  return join(_mm256_srai_epi32(h.v[0], n), _mm256_srai_epi32(h.v[1], n));
}
// Only the bytes under the mask are touched, as by the instruction.
template <typename T, typename V>
V masked_load(uint32_t mask, const void* from) {
  T lanes[16] = {};
  for (int i = 0; i < 16; ++i)
    if ((mask >> i & 1) != 0) __builtin_memcpy(lanes + i, static_cast<const char*>(from) + i * static_cast<int>(sizeof(T)), sizeof(T));
  V v;
  __builtin_memcpy(&v, lanes, sizeof v);
  return v;
}
template <typename T, typename V>
void masked_store(void* to, uint32_t mask, V v) {
  T lanes[16];
  __builtin_memcpy(lanes, &v, sizeof v);
  for (int i = 0; i < 16; ++i)
    if ((mask >> i & 1) != 0) __builtin_memcpy(static_cast<char*>(to) + i * static_cast<int>(sizeof(T)), lanes + i, sizeof(T));
}
template <int kPick>
simde__m512 shuffle_f32x4(simde__m512 a, simde__m512 b) {
  float x[16], y[16], r[16];
  __builtin_memcpy(x, &a, sizeof x);
  __builtin_memcpy(y, &b, sizeof y);
  for (int i = 0; i < 4; ++i) __builtin_memcpy(r + 4 * i, (i < 2 ? x : y) + 4 * (kPick >> (2 * i) & 3), 16);
  simde__m512 v;
  __builtin_memcpy(&v, r, sizeof v);
  return v;
}

}  // namespace carat::kernels::simde_halves

#define _mm512_cvtph_ps simde_halves::cvtph_ps
#define _mm512_cvtps_ph(a, rounding) simde_halves::cvtps_ph(a)  // always to nearest even
#define _mm512_cvtepi32_ps simde_halves::cvtepi32_ps
#define _mm512_cvtepi8_epi32 simde_halves::cvtepi8_epi32
#define _mm512_cvtepu8_epi32 simde_halves::cvtepu8_epi32
#define _mm512_cvtepu16_epi32 simde_halves::cvtepu16_epi32
#define _mm512_cvtepi32_epi8 simde_halves::cvtepi32_epi8
#undef _mm512_srai_epi32
#define _mm512_srai_epi32 simde_halves::srai_epi32
#define _mm512_maskz_loadu_ps (simde_halves::masked_load<float, simde__m512>)
#define _mm512_mask_storeu_ps simde_halves::masked_store<float>
#define _mm256_maskz_loadu_epi16 (simde_halves::masked_load<uint16_t, __m256i>)
#define _mm256_mask_storeu_epi16 simde_halves::masked_store<uint16_t>
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4(a, b, pick) simde_halves::shuffle_f32x4<pick>(a, b)
#undef _mm512_madd_epi16  // misspelt in SIMDe
#define _mm512_madd_epi16 simde_mm512_madd_epi16
