#include "tensor/dequantise.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "tensor/blocks.h"

namespace carat {

float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 31u;
  const uint32_t mantissa = h & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // exact: 10 bits
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

uint16_t f32_to_f16(float f) {
  const auto bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                                               // below 2^-14: subnormal, steps of 2^-24
    // Adding 0.5 puts the value's 2^-24 at the last bit of the mantissa, so the adder itself rounds to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

uint16_t f32_to_bf16(float f) {
  const auto bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 64u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

namespace {

float f(uint16_t h) { return f16_to_f32(h); }
int lo(uint8_t q) { return q & 15; }
int hi(uint8_t q) { return q >> 4; }

void decode(const BlockQ4_0& b, float* y) {
  const float d = f(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(lo(b.qs[j]) - 8);
    y[j + 16] = d * static_cast<float>(hi(b.qs[j]) - 8);
  }
}

void decode(const BlockQ4_1& b, float* y) {
  const float d = f(b.d), m = f(b.m);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(lo(b.qs[j])) + m;
    y[j + 16] = d * static_cast<float>(hi(b.qs[j])) + m;
  }
}

// The 5-bit value of element i: a nibble and a bit of qh.
int five_bits(const uint8_t* qh, const uint8_t* qs, int i) {
  const int low = i < 16 ? lo(qs[i]) : hi(qs[i - 16]);
  return low | (((qh[i / 8] >> (i % 8)) & 1) << 4);
}

void decode(const BlockQ5_0& b, float* y) {
  const float d = f(b.d);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(five_bits(b.qh, b.qs, i) - 16);
}

void decode(const BlockQ5_1& b, float* y) {
  const float d = f(b.d), m = f(b.m);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(five_bits(b.qh, b.qs, i)) + m;
}

void decode(const BlockQ8_0& b, float* y) {
  const float d = f(b.d);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(b.qs[i]);
}

void decode(const BlockIQ4_NL& b, float* y) {
  const float d = f(b.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(kIq4Values[lo(b.qs[j])]);
    y[j + 16] = d * static_cast<float>(kIq4Values[hi(b.qs[j])]);
  }
}

void decode(const BlockMXFP4& b, float* y) {
  const float scale = std::ldexp(1.0f, static_cast<int>(b.e) - 128);  // halved: the table is doubled. e = 0, 1 give subnormals
  for (int j = 0; j < 16; ++j) {
    y[j] = scale * static_cast<float>(kE2m1Doubled[lo(b.qs[j])]);
    y[j + 16] = scale * static_cast<float>(kE2m1Doubled[hi(b.qs[j])]);
  }
}

// Unsigned E4M3, exponent bias 7; 0 and 0x7F stand for 0.
float ue4m3(uint8_t x) {
  if (x == 0 || x == 0x7F) return 0.0f;
  const int exponent = (x >> 3) & 15;
  const int mantissa = x & 7;
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -9);
  return std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

void decode(const BlockNVFP4& b, float* y) {
  for (int s = 0; s < 4; ++s) {
    const float scale = ue4m3(b.d[s]) * 0.5f;
    for (int j = 0; j < 8; ++j) {
      y[16 * s + j] = scale * static_cast<float>(kE2m1Doubled[lo(b.qs[8 * s + j])]);
      y[16 * s + 8 + j] = scale * static_cast<float>(kE2m1Doubled[hi(b.qs[8 * s + j])]);
    }
  }
}

void decode(const BlockQ2_K& b, float* y) {
  const float d = f(b.d), dmin = f(b.dmin);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, shift = i % 128 / 32, l = i % 32;
    const uint8_t scale = b.scales[i / 16];
    const int q = (b.qs[32 * half + l] >> (2 * shift)) & 3;
    y[i] = d * static_cast<float>(lo(scale)) * static_cast<float>(q) - dmin * static_cast<float>(hi(scale));
  }
}

void decode(const BlockQ3_K& b, float* y) {
  const float d = f(b.d);
  uint8_t scales[16];
  unpack_q3_scales(b.scales, scales);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, shift = i % 128 / 32, l = i % 32;
    const int low = (b.qs[32 * half + l] >> (2 * shift)) & 3;
    const int q = low - (((b.hmask[l] >> (4 * half + shift)) & 1) != 0 ? 0 : 4);
    y[i] = d * static_cast<float>(scales[i / 16] - 32) * static_cast<float>(q);
  }
}

void decode(const BlockQ4_K& b, float* y) {
  const float d = f(b.d), dmin = f(b.dmin);
  for (int s = 0; s < 8; ++s) {
    const ScaleMin sm = unpack_scale_min(b.scales, s);
    const float scale = d * static_cast<float>(sm.scale), min = dmin * static_cast<float>(sm.min);
    const uint8_t* qs = b.qs + 32 * (s / 2);
    for (int l = 0; l < 32; ++l) y[32 * s + l] = scale * static_cast<float>(s % 2 == 0 ? lo(qs[l]) : hi(qs[l])) - min;
  }
}

void decode(const BlockQ5_K& b, float* y) {
  const float d = f(b.d), dmin = f(b.dmin);
  for (int s = 0; s < 8; ++s) {
    const ScaleMin sm = unpack_scale_min(b.scales, s);
    const float scale = d * static_cast<float>(sm.scale), min = dmin * static_cast<float>(sm.min);
    const uint8_t* qs = b.qs + 32 * (s / 2);
    for (int l = 0; l < 32; ++l) {
      const int q = (s % 2 == 0 ? lo(qs[l]) : hi(qs[l])) + 16 * ((b.qh[l] >> s) & 1);
      y[32 * s + l] = scale * static_cast<float>(q) - min;
    }
  }
}

void decode(const BlockQ6_K& b, float* y) {
  const float d = f(b.d);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, part = i % 128 / 32, l = i % 32;
    const uint8_t low = b.ql[64 * half + 32 * (part % 2) + l];
    const int q = (part < 2 ? lo(low) : hi(low)) | (((b.qh[32 * half + l] >> (2 * part)) & 3) << 4);
    y[i] = d * static_cast<float>(b.scales[i / 16]) * static_cast<float>(q - 32);
  }
}

void decode(const BlockIQ4_XS& b, float* y) {
  const float d = f(b.d);
  for (int s = 0; s < 8; ++s) {
    const int low = (b.scales_l[s / 2] >> (4 * (s % 2))) & 15;
    const float scale = d * static_cast<float>((low | (((b.scales_h >> (2 * s)) & 3) << 4)) - 32);
    for (int j = 0; j < 16; ++j) {
      y[32 * s + j] = scale * static_cast<float>(kIq4Values[lo(b.qs[16 * s + j])]);
      y[32 * s + 16 + j] = scale * static_cast<float>(kIq4Values[hi(b.qs[16 * s + j])]);
    }
  }
}

template <typename Block>
void decode_row(DType t, const std::byte* src, float* dst, int64_t n) {
  const int64_t elems = info(t).block_elems;
  check(info(t).block_bytes == static_cast<int32_t>(sizeof(Block)), "dequantise: the block of a type has another size than its table says");
  for (int64_t i = 0; i < n; i += elems, src += sizeof(Block)) {
    Block block;
    std::memcpy(&block, src, sizeof block);
    decode(block, dst + i);
  }
}

template <typename Bits, typename Convert>
void convert_row(const std::byte* src, float* dst, int64_t n, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, src + i * static_cast<int64_t>(sizeof bits), sizeof bits);
    dst[i] = convert(bits);
  }
}

}  // namespace

void dequantise(DType t, const std::byte* src, float* dst, int64_t n) {
  check(n >= 0 && n % info(t).block_elems == 0, "dequantise: the count is no multiple of the block size");
  switch (t) {
    case DType::f32: return convert_row<uint32_t>(src, dst, n, [](uint32_t b) { return std::bit_cast<float>(b); });
    case DType::f16: return convert_row<uint16_t>(src, dst, n, f16_to_f32);
    case DType::bf16: return convert_row<uint16_t>(src, dst, n, bf16_to_f32);
    case DType::q4_0: return decode_row<BlockQ4_0>(t, src, dst, n);
    case DType::q4_1: return decode_row<BlockQ4_1>(t, src, dst, n);
    case DType::q5_0: return decode_row<BlockQ5_0>(t, src, dst, n);
    case DType::q5_1: return decode_row<BlockQ5_1>(t, src, dst, n);
    case DType::q8_0: return decode_row<BlockQ8_0>(t, src, dst, n);
    case DType::q2_k: return decode_row<BlockQ2_K>(t, src, dst, n);
    case DType::q3_k: return decode_row<BlockQ3_K>(t, src, dst, n);
    case DType::q4_k: return decode_row<BlockQ4_K>(t, src, dst, n);
    case DType::q5_k: return decode_row<BlockQ5_K>(t, src, dst, n);
    case DType::q6_k: return decode_row<BlockQ6_K>(t, src, dst, n);
    case DType::iq4_nl: return decode_row<BlockIQ4_NL>(t, src, dst, n);
    case DType::iq4_xs: return decode_row<BlockIQ4_XS>(t, src, dst, n);
    case DType::mxfp4: return decode_row<BlockMXFP4>(t, src, dst, n);
    case DType::nvfp4: return decode_row<BlockNVFP4>(t, src, dst, n);
    case DType::i8:
    case DType::i32:
    case DType::i64:
    case DType::u8:
    case DType::boolean:
    case DType::f8_e4m3: break;
  }
  fail(ErrorCode::unsupported, "{} values are no weights and have no decoding to f32", info(t).name);
}

}  // namespace carat
