// Blocks of 256 in runs of 16 or 32. Each run gets its own best scale (and minimum); these become small integers under one scale of the block; then what rounding them
// has cost is won back: neighbours of each small integer are tried, and the block's scales are fitted once more to the integers chosen.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/encode_blocks.h"
#include "quant/lanes.h"
#include "quant/scale_search.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

constexpr int kBlock = 256;
constexpr int kMostRuns = 16;
constexpr int kRefits = 2;

float to_f16(float v) { return f16_to_f32(f32_to_f16(v)); }

// value = d * scale[run] * q - dmin * min[run]
struct Blocked {
  float d = 0, dmin = 0;  // as f16 holds them
  int scale[kMostRuns] = {}, min[kMostRuns] = {};
  float q[kBlock];
};

// What a kind of block can hold.
struct Shape {
  int runs;
  float low, high;              // of q
  int least_scale, most_scale;  // of the runs' small integers
  bool has_min;
  int length() const { return kBlock / runs; }
};

class Encoder {
 public:
  Encoder(const Shape& shape, const float* x, const float* w) : s_(shape), x_(x), w_(w) {}

  void fit(Blocked& b) {
    float largest = 0, largest_min = 0;
    for (int r = 0; r < s_.runs; ++r) {
      fits_[r] = s_.has_min ? fit_scale_and_min(run(r), s_.high) : fit_scale(run(r), s_.low, s_.high);
      if (std::fabs(fits_[r].scale) > std::fabs(largest)) largest = fits_[r].scale;
      largest_min = std::max(largest_min, fits_[r].min);
    }
    // The longer side of the small integers holds the largest scale.
    b.d = to_f16(largest / static_cast<float>(s_.least_scale < 0 ? s_.least_scale : s_.most_scale));
    b.dmin = to_f16(largest_min / static_cast<float>(s_.most_scale));
    round_scales(b);
    float best = requantise(b);
    for (int i = 0; i < kRefits; ++i) {
      Blocked again = b;
      refit(again);
      const float error = requantise(again);
      if (!(error < best)) break;
      best = error;
      b = again;
    }
  }

 private:
  Run run(int r) const { return {x_ + r * s_.length(), w_ + r * s_.length(), s_.length()}; }
  float error(const Blocked& b, int r, int scale, int min) const {
    return error_of(run(r), b.d * static_cast<float>(scale), b.dmin * static_cast<float>(min), s_.low, s_.high);
  }

  void round_scales(Blocked& b) const {
    for (int r = 0; r < s_.runs; ++r) {
      const int scale = b.d != 0 ? nearest_in(fits_[r].scale / b.d, s_.least_scale, s_.most_scale) : 0;
      const int min = b.dmin != 0 ? nearest_in(fits_[r].min / b.dmin, 0, s_.most_scale) : 0;
      b.scale[r] = scale, b.min[r] = min;
      float best = error(b, r, scale, min);
      const auto attempt = [&](int other_scale, int other_min) {
        if (other_scale < s_.least_scale || other_scale > s_.most_scale || other_min < 0 || other_min > s_.most_scale) return;
        const float e = error(b, r, other_scale, other_min);
        if (e < best) best = e, b.scale[r] = other_scale, b.min[r] = other_min;
      };
      attempt(scale - 1, min);
      attempt(scale + 1, min);
      if (!s_.has_min || b.dmin == 0) continue;
      const int chosen = b.scale[r];
      attempt(chosen, min - 1);
      attempt(chosen, min + 1);
    }
  }

  // The best integers for the scales as they are; their error.
  float requantise(Blocked& b) const {
    float sum = 0;
    for (int r = 0; r < s_.runs; ++r)
      sum += error_of(run(r), b.d * static_cast<float>(b.scale[r]), b.dmin * static_cast<float>(b.min[r]), s_.low, s_.high, b.q + r * s_.length());
    return sum;
  }

  // The least squares' d and dmin for the small integers and the q of b.
  void refit(Blocked& b) const {
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;  // a = scale * q, b = min
    for (int r = 0; r < s_.runs; ++r) {
      const float* x = x_ + r * s_.length();
      const float* w = w_ + r * s_.length();
      const float* q = b.q + r * s_.length();
      float wqq = 0, wq = 0, wxq = 0, sw = 0, wx = 0;
      for (int i = 0; i < s_.length(); ++i) {
        const float wqi = w[i] * q[i];
        wqq += wqi * q[i], wq += wqi, wxq += wqi * x[i], sw += w[i], wx += w[i] * x[i];
      }
      const double scale = b.scale[r], min = b.min[r];
      aa += scale * scale * static_cast<double>(wqq), ab += scale * min * static_cast<double>(wq), bb += min * min * static_cast<double>(sw);
      xa += scale * static_cast<double>(wxq), xb += min * static_cast<double>(wx);
    }
    const double determinant = aa * bb - ab * ab;
    if (bb > 0 && determinant > 1e-12 * aa * bb) {
      const double dmin = (ab * xa - aa * xb) / determinant;
      if (dmin > 0) {
        b.d = to_f16(static_cast<float>((xa * bb - ab * xb) / determinant));
        b.dmin = to_f16(static_cast<float>(dmin));
      }
    } else if (aa > 0) {
      b.d = to_f16(static_cast<float>(xa / aa));
    }
  }

  const Shape& s_;
  const float* x_;
  const float* w_;
  Fit fits_[kMostRuns];
};

constexpr Shape kQ2K{16, 0, 3, 0, 15, true};
constexpr Shape kQ3K{16, -4, 3, -32, 31, false};
constexpr Shape kQ4K{8, 0, 15, 0, 63, true};
constexpr Shape kQ5K{8, 0, 31, 0, 63, true};
constexpr Shape kQ6K{16, -32, 31, -128, 127, false};

unsigned code(float q, float low) { return static_cast<unsigned>(static_cast<int>(q - low)); }

void put(uint8_t& byte, unsigned bits) { byte = static_cast<uint8_t>(byte | bits); }

// The inverse of unpack_scale_min().
void pack_scale_min(const int* scale, const int* min, uint8_t* b) {
  for (int s = 0; s < 4; ++s) {
    const auto sc = static_cast<unsigned>(scale[s]), mn = static_cast<unsigned>(min[s]);
    const auto sc_high = static_cast<unsigned>(scale[s + 4]), mn_high = static_cast<unsigned>(min[s + 4]);
    b[s] = static_cast<uint8_t>(sc | ((sc_high >> 4) << 6));
    b[s + 4] = static_cast<uint8_t>(mn | ((mn_high >> 4) << 6));
    b[s + 8] = static_cast<uint8_t>((sc_high & 15) | ((mn_high & 15) << 4));
  }
}

}  // namespace

void encode_block(BlockQ2_K& b, const float* x, const float* w) {
  Blocked k;
  Encoder(kQ2K, x, w).fit(k);
  std::memset(&b, 0, sizeof b);
  b.d = f32_to_f16(k.d), b.dmin = f32_to_f16(k.dmin);
  for (int r = 0; r < 16; ++r) b.scales[r] = static_cast<uint8_t>(k.scale[r] | (k.min[r] << 4));
  for (int i = 0; i < kBlock; ++i) put(b.qs[32 * (i / 128) + i % 32], code(k.q[i], 0) << (2 * (i % 128 / 32)));
}

void encode_block(BlockQ3_K& b, const float* x, const float* w) {
  Blocked k;
  Encoder(kQ3K, x, w).fit(k);
  std::memset(&b, 0, sizeof b);
  b.d = f32_to_f16(k.d);
  for (int r = 0; r < 16; ++r) {
    const auto scale = static_cast<unsigned>(k.scale[r] + 32);
    put(b.scales[r % 8], (scale & 15) << (4 * (r / 8)));
    put(b.scales[8 + r % 4], (scale >> 4) << (2 * (r / 4)));
  }
  for (int i = 0; i < kBlock; ++i) {
    const unsigned q = code(k.q[i], -4);
    put(b.qs[32 * (i / 128) + i % 32], (q & 3) << (2 * (i % 128 / 32)));
    put(b.hmask[i % 32], (q >> 2) << (i / 32));
  }
}

void encode_block(BlockQ4_K& b, const float* x, const float* w) {
  Blocked k;
  Encoder(kQ4K, x, w).fit(k);
  b.d = f32_to_f16(k.d), b.dmin = f32_to_f16(k.dmin);
  pack_scale_min(k.scale, k.min, b.scales);
  for (int pair = 0; pair < 4; ++pair)
    for (int l = 0; l < 32; ++l) b.qs[32 * pair + l] = static_cast<uint8_t>(code(k.q[64 * pair + l], 0) | (code(k.q[64 * pair + 32 + l], 0) << 4));
}

void encode_block(BlockQ5_K& b, const float* x, const float* w) {
  Blocked k;
  Encoder(kQ5K, x, w).fit(k);
  std::memset(&b, 0, sizeof b);
  b.d = f32_to_f16(k.d), b.dmin = f32_to_f16(k.dmin);
  pack_scale_min(k.scale, k.min, b.scales);
  for (int i = 0; i < kBlock; ++i) {
    const int s = i / 32, l = i % 32;
    const unsigned q = code(k.q[i], 0);
    put(b.qs[32 * (s / 2) + l], (q & 15) << (4 * (s % 2)));
    put(b.qh[l], (q >> 4) << s);
  }
}

void encode_block(BlockQ6_K& b, const float* x, const float* w) {
  Blocked k;
  Encoder(kQ6K, x, w).fit(k);
  std::memset(&b, 0, sizeof b);
  b.d = f32_to_f16(k.d);
  for (int r = 0; r < 16; ++r) b.scales[r] = static_cast<int8_t>(k.scale[r]);
  for (int i = 0; i < kBlock; ++i) {
    const int half = i / 128, part = i % 128 / 32, l = i % 32;
    const unsigned q = code(k.q[i], -32);
    put(b.ql[64 * half + 32 * (part % 2) + l], (q & 15) << (4 * (part / 2)));
    put(b.qh[32 * half + l], (q >> 4) << (2 * part));
  }
}

}  // namespace carat::quant
