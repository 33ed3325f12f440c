#pragma once
// The quantised blocks of GGUF files, byte for byte. Little-endian; f16 values are held as their bits (f16_to_f32 of tensor/dequantise.h).
// Blocks in a file may lie at any address: copy one out (memcpy) before reading its 16-bit fields.
#include <bit>
#include <cstdint>

namespace carat {

static_assert(std::endian::native == std::endian::little, "model files are little-endian, and so is Carat");

// 32 elements a block: y[j] from the low nibble of qs[j], y[j + 16] from the high one.

// d * (q - 8)
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
// d * q + m
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
// d * (q - 16); bit j of qh is bit 4 of y[j]'s q
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
// d * q + m
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
// d * q
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};
// d * kIq4Values[q]
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};
// 2^(e - 128) * kE2m1Doubled[q]
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};

// 64 elements: four runs of 16, each with its own unsigned E4M3 scale.
struct BlockNVFP4 {
  uint8_t d[4];
  uint8_t qs[32];
};

// 256 elements: runs of 16 or 32 with small integer scales under one f16 scale.
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockIQ4_NL) == 18 && sizeof(BlockMXFP4) == 17 && sizeof(BlockNVFP4) == 36);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210 && sizeof(BlockIQ4_XS) == 136);

inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr int8_t kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Scale and minimum (0..63) of run s (0..7) of a Q4_K or Q5_K block's 12 packed bytes.
struct ScaleMin {
  uint8_t scale;
  uint8_t min;
};
constexpr ScaleMin unpack_scale_min(const uint8_t* b, int s) {
  if (s < 4) return {static_cast<uint8_t>(b[s] & 63), static_cast<uint8_t>(b[s + 4] & 63)};
  return {static_cast<uint8_t>((b[s + 4] & 15) | ((b[s - 4] >> 6) << 4)), static_cast<uint8_t>((b[s + 4] >> 4) | ((b[s] >> 6) << 4))};
}

// The inverse: scale, minimum of each of the 8 runs, one behind the other.
constexpr void pack_scale_mins(const uint8_t* scale_min, uint8_t* b) {
  for (int s = 0; s < 4; ++s) {
    const int scale = scale_min[2 * s] & 63, min = scale_min[2 * s + 1] & 63, scale4 = scale_min[2 * s + 8] & 63, min4 = scale_min[2 * s + 9] & 63;
    b[s] = static_cast<uint8_t>(scale | ((scale4 >> 4) << 6));
    b[s + 4] = static_cast<uint8_t>(min | ((min4 >> 4) << 6));
    b[s + 8] = static_cast<uint8_t>((scale4 & 15) | ((min4 & 15) << 4));
  }
}

// The sixteen 6-bit scales (0..63, to be lowered by 32) of a Q3_K block's 12 packed bytes.
constexpr void unpack_q3_scales(const uint8_t* b, uint8_t* out) {
  for (int i = 0; i < 8; ++i) {
    out[i] = static_cast<uint8_t>((b[i] & 15) | (((b[8 + i % 4] >> (2 * (i / 4))) & 3) << 4));
    out[i + 8] = static_cast<uint8_t>((b[i] >> 4) | (((b[8 + i % 4] >> (4 + 2 * (i / 4))) & 3) << 4));
  }
}

// The inverse, of numbers 0..63.
constexpr void pack_q3_scales(const uint8_t* scales, uint8_t* b) {
  for (int i = 8; i < 12; ++i) b[i] = 0;
  for (int i = 0; i < 8; ++i) {
    b[i] = static_cast<uint8_t>((scales[i] & 15) | ((scales[i + 8] & 15) << 4));
    b[8 + i % 4] = static_cast<uint8_t>(b[8 + i % 4] | ((scales[i] >> 4) << (2 * (i / 4))) | ((scales[i + 8] >> 4) << (4 + 2 * (i / 4))));
  }
}

}  // namespace carat
