// Blocks of 32 under one scale. Without weights these are ggml's reference rules, to the byte: files of these types are compared by their hashes.
#include <algorithm>
#include <cmath>

#include "quant/encode_blocks.h"
#include "quant/lanes.h"
#include "quant/scale_search.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

constexpr int kBlock = 32;

struct Range {
  float low, high;
};
Range range_of(const float* x) {
  Range r{x[0], x[0]};
  for (int i = 1; i < kBlock; ++i) r.low = std::min(r.low, x[i]), r.high = std::max(r.high, x[i]);
  return r;
}
// The first of the values that are farthest from 0, with its sign.
float extreme_of(const float* x) {
  float largest = 0, extreme = 0;
  for (int i = 0; i < kBlock; ++i)
    if (largest < std::fabs(x[i])) largest = std::fabs(x[i]), extreme = x[i];
  return extreme;
}

// q = trunc((x + offset) * inverse + shift), at most `most`. What the reference does: adding first keeps all of it positive.
void truncate(const float* x, float offset, float scale, float shift, int most, uint8_t* q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kBlock; ++i) {
    const float v = (x[i] + offset) * inverse + shift;
    q[i] = static_cast<uint8_t>(v < static_cast<float>(most) ? v > 0 ? static_cast<int>(v) : 0 : v >= 0 ? most : 0);
  }
}

// The integers that are best for a scale as it is stored, from `low` (which is stored as 0).
void nearest(const float* x, float scale, float min, float low, float high, uint8_t* q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kBlock; ++i)
    q[i] = static_cast<uint8_t>(nearest_in((x[i] + min) * inverse, static_cast<int>(low), static_cast<int>(high)) - static_cast<int>(low));
}

uint16_t scale_and_codes(const float* x, const float* w, float low, float high, uint8_t* q) {
  if (w) {
    const uint16_t d = f32_to_f16(fit_scale({x, w, kBlock}, low, high).scale);
    nearest(x, f16_to_f32(d), 0, low, high, q);
    return d;
  }
  const float d = extreme_of(x) / low;
  truncate(x, 0, d, -low + 0.5f, static_cast<int>(high - low), q);
  return f32_to_f16(d);
}

void scale_min_and_codes(const float* x, const float* w, float high, uint16_t& d16, uint16_t& m16, uint8_t* q) {
  if (w) {
    const Fit fit = fit_scale_and_min({x, w, kBlock}, high, true);
    d16 = f32_to_f16(fit.scale), m16 = f32_to_f16(-fit.min);
    nearest(x, f16_to_f32(d16), -f16_to_f32(m16), 0, high, q);
    return;
  }
  const Range r = range_of(x);
  const float d = (r.high - r.low) / high;
  truncate(x, -r.low, d, 0.5f, static_cast<int>(high), q);
  d16 = f32_to_f16(d), m16 = f32_to_f16(r.low);
}

void put_nibbles(const uint8_t* q, uint8_t* qs) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((q[j] & 15) | ((q[j + 16] & 15) << 4));
}
void put_fifth_bits(const uint8_t* q, uint8_t* qh) {
  std::fill_n(qh, 4, uint8_t{0});
  for (int j = 0; j < kBlock; ++j) qh[j / 8] = static_cast<uint8_t>(qh[j / 8] | ((q[j] >> 4) << (j % 8)));
}

}  // namespace

void encode_block(BlockQ4_0& b, const float* x, const float* w) {
  uint8_t q[kBlock];
  b.d = scale_and_codes(x, w, -8, 7, q);
  put_nibbles(q, b.qs);
}

void encode_block(BlockQ4_1& b, const float* x, const float* w) {
  uint8_t q[kBlock];
  scale_min_and_codes(x, w, 15, b.d, b.m, q);
  put_nibbles(q, b.qs);
}

void encode_block(BlockQ5_0& b, const float* x, const float* w) {
  uint8_t q[kBlock];
  b.d = scale_and_codes(x, w, -16, 15, q);
  put_nibbles(q, b.qs);
  put_fifth_bits(q, b.qh);
}

void encode_block(BlockQ5_1& b, const float* x, const float* w) {
  uint8_t q[kBlock];
  scale_min_and_codes(x, w, 31, b.d, b.m, q);
  put_nibbles(q, b.qs);
  put_fifth_bits(q, b.qh);
}

void encode_block(BlockQ8_0& b, const float* x, const float*) {
  float largest = 0;
  for (int i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float d = largest / 127, inverse = d != 0 ? 1.0f / d : 0.0f;
  b.d = f32_to_f16(d);
  // Halves go away from 0. The inverse of a very small scale is infinite: what it gives is bounded before it becomes an integer.
  for (int i = 0; i < kBlock; ++i) {
    float v = x[i] * inverse;
    v = v > -127.0f ? v : -127.0f;
    v = v < 127.0f ? v : 127.0f;
    const int whole = static_cast<int>(v);
    const float rest = v - static_cast<float>(whole);
    b.qs[i] = static_cast<int8_t>(whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0));
  }
}

}  // namespace carat::quant
