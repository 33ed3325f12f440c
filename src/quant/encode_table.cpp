// Values from a table: IQ4's sixteen, and the eight magnitudes of E2M1 with a sign. The nearest entry is found by comparing with the borders between entries, four
// values at once.
#include <algorithm>
#include <cmath>

#include "quant/encode_blocks.h"
#include "quant/lanes.h"
#include "quant/scale_search.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

struct Iq4 {
  static constexpr float kLongest = -127, kOther = 113;
  static F4 nearest(F4 v) {
    F4 value = F4{} + static_cast<float>(kIq4Values[0]);
    for (int k = 0; k < 15; ++k) {
      const float border = 0.5f * static_cast<float>(kIq4Values[k] + kIq4Values[k + 1]), step = static_cast<float>(kIq4Values[k + 1] - kIq4Values[k]);
      value += v > border ? F4{} + step : F4{};
    }
    return value;
  }
  static F4 codes(F4 v) {
    F4 code{};
    for (int k = 0; k < 15; ++k) code += v > 0.5f * static_cast<float>(kIq4Values[k] + kIq4Values[k + 1]) ? F4{} + 1.0f : F4{};
    return code;
  }
};

// On a border the smaller magnitude is taken, as the reference does.
struct E2m1 {
  static F4 nearest(F4 v) {
    const F4 magnitude = v < 0.0f ? -v : v;
    F4 value{};
    for (int k = 0; k < 7; ++k) {
      const float border = 0.5f * static_cast<float>(kE2m1Doubled[k] + kE2m1Doubled[k + 1]), step = static_cast<float>(kE2m1Doubled[k + 1] - kE2m1Doubled[k]);
      value += magnitude > border ? F4{} + step : F4{};
    }
    return v < 0.0f ? -value : value;
  }
  static F4 codes(F4 v) {
    const F4 magnitude = v < 0.0f ? -v : v;
    F4 code{};
    for (int k = 0; k < 7; ++k) code += magnitude > 0.5f * static_cast<float>(kE2m1Doubled[k] + kE2m1Doubled[k + 1]) ? F4{} + 1.0f : F4{};
    const F4 negative = code + 8.0f;
    return v < -0.5f ? negative : code;  // there is no use for -0
  }
};

template <typename Table>
float table_error(const Run& run, float scale) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  F4 error{};
  for (int i = 0; i < run.n; i += 4) {
    const F4 x = load4(run.x + i), d = x - Table::nearest(x * inverse) * scale;
    error += load4(run.w + i) * d * d;
  }
  return sum4(error);
}

// The scale whose integers and least squares give the least error, over scales that put the extreme value near either end of the table.
float fit_iq4_scale(const Run& run) {
  float largest = 0, extreme = 0;
  for (int i = 0; i < run.n; ++i)
    if (std::fabs(run.x[i]) > largest) largest = std::fabs(run.x[i]), extreme = run.x[i];
  if (largest < 1e-30f) return 0;
  float gain = 0, scale = 0;
  const auto attempt = [&](float inverse) {
    F4 ll4{}, xl4{};
    for (int i = 0; i < run.n; i += 4) {
      const F4 x = load4(run.x + i), q = Iq4::nearest(x * inverse), wq = load4(run.w + i) * q;
      ll4 += wq * q, xl4 += wq * x;
    }
    const float ll = sum4(ll4), xl = sum4(xl4);
    if (ll > 0 && xl * xl > gain * ll) gain = xl * xl / ll, scale = xl / ll;
  };
  for (int step = -7; step <= 7; ++step) attempt((Iq4::kLongest + 2.0f * static_cast<float>(step)) / extreme);
  for (int step = -3; step <= 3; ++step) attempt((Iq4::kOther + 3.0f * static_cast<float>(step)) / extreme);
  return scale;
}

// 2 n values: byte j holds those at j and j + n.
template <typename Table>
void put_codes(const float* x, float scale, uint8_t* qs, int n) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (int j = 0; j < n; j += 4) {
    const F4 code = Table::codes(load4(x + j) * inverse) + 16.0f * Table::codes(load4(x + n + j) * inverse);
    for (int i = 0; i < 4; ++i) qs[j + i] = static_cast<uint8_t>(code[i]);
  }
}

// Unsigned E4M3 with bias 7, and back; 0 and 0x7F stand for 0 and are never made for a value above.
float from_ue4m3(int code) {
  const int exponent = code >> 3, mantissa = code & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9) : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}
int nearest_ue4m3(float v) {
  const int exponent = std::clamp(v > 0 ? std::ilogb(v) : -9, -6, 8);
  return std::clamp(((exponent + 6) << 3) + nearest_in(std::ldexp(v, 3 - exponent), 0, 16), 1, 0x7E);
}

float largest_of(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

}  // namespace

void encode_block(BlockIQ4_NL& b, const float* x, const float* w) {
  b.d = f32_to_f16(fit_iq4_scale({x, w, 32}));
  put_codes<Iq4>(x, f16_to_f32(b.d), b.qs, 16);
}

void encode_block(BlockIQ4_XS& b, const float* x, const float* w) {
  float scale[8], largest = 0;
  for (int s = 0; s < 8; ++s) {
    scale[s] = fit_iq4_scale({x + 32 * s, w + 32 * s, 32});
    if (std::fabs(scale[s]) > std::fabs(largest)) largest = scale[s];
  }
  b.d = f32_to_f16(largest / -32);
  const float d = f16_to_f32(b.d);
  b.scales_h = 0;
  std::fill_n(b.scales_l, 4, uint8_t{0});
  for (int s = 0; s < 8; ++s) {
    const int start = d != 0 ? nearest_in(scale[s] / d, -32, 31) : 0;
    int best = start;
    float error = table_error<Iq4>({x + 32 * s, w + 32 * s, 32}, d * static_cast<float>(start));
    for (const int other : {start - 1, start + 1}) {
      if (other < -32 || other > 31) continue;
      const float e = table_error<Iq4>({x + 32 * s, w + 32 * s, 32}, d * static_cast<float>(other));
      if (e < error) error = e, best = other;
    }
    const auto code = static_cast<unsigned>(best + 32);
    b.scales_l[s / 2] = static_cast<uint8_t>(b.scales_l[s / 2] | ((code & 15) << (4 * (s % 2))));
    b.scales_h = static_cast<uint16_t>(b.scales_h | ((code >> 4) << (2 * s)));
    put_codes<Iq4>(x + 32 * s, d * static_cast<float>(best), b.qs + 16 * s, 16);
  }
}

void encode_block(BlockMXFP4& b, const float* x, const float* w) {
  const float largest = largest_of(x, 32);
  const auto scale_of = [](int e) { return std::ldexp(1.0f, e - 128); };
  int best = largest > 0 ? std::clamp(std::ilogb(largest) - 2 + 127, 0, 254) : 0;
  if (w && largest > 0) {
    const int start = best;
    float error = table_error<E2m1>({x, w, 32}, scale_of(start));
    for (const int other : {start - 1, start + 1}) {
      if (other < 0 || other > 254) continue;
      const float e = table_error<E2m1>({x, w, 32}, scale_of(other));
      if (e < error) error = e, best = other;
    }
  }
  b.e = static_cast<uint8_t>(best);
  put_codes<E2m1>(x, scale_of(best), b.qs, 16);
}

void encode_block(BlockNVFP4& b, const float* x, const float* w) {
  for (int s = 0; s < 4; ++s) {
    const Run run{x + 16 * s, w + 16 * s, 16};
    const float largest = largest_of(run.x, 16);
    int best = 0;
    if (largest > 0) {
      // From a largest value a little cut off to one that becomes 4 instead of 6 (eight codes are an octave).
      const int start = nearest_ue4m3(largest / 6);
      float error = 0;
      for (int code = std::max(1, start - 2); code <= std::min(0x7E, start + 6); ++code) {
        const float e = table_error<E2m1>(run, 0.5f * from_ue4m3(code));
        if (best == 0 || e < error) error = e, best = code;
      }
    }
    b.d[s] = static_cast<uint8_t>(best);
    put_codes<E2m1>(run.x, 0.5f * from_ue4m3(best), b.qs + 8 * s, 8);
  }
}

}  // namespace carat::quant
