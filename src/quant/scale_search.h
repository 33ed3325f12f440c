#pragma once
// The best scale (and minimum) for a run of values that become small integers. Errors are squared and weighted.
#include <cstdint>

namespace carat::quant {

// A run of `n` values, 16 or 32, and the weight of each one's error (> 0).
struct Run {
  const float* x = nullptr;
  const float* w = nullptr;
  int n = 0;
};

struct Fit {
  float scale = 0;
  float min = 0;  // what is subtracted: value = scale * q - min
};

// Error of value = scale * q - min with q the best integer in [low, high]; with_q: the integers, as floats.
float error_of(const Run& run, float scale, float min, float low, float high, float* with_q = nullptr);

// value = scale * q, q in [low, high] with -low > high: the extreme value may fall on either side, so the scale has a sign.
Fit fit_scale(const Run& run, float low, float high);

// value = scale * q - min, q in [0, high], scale >= 0, and min >= 0 unless any_min.
Fit fit_scale_and_min(const Run& run, float high, bool any_min = false);

}  // namespace carat::quant
