// Both searches try a range of scales around the obvious one. For each, the values are rounded, and the scale (and minimum) that is best for these integers has a
// closed form; so has its error. Only the sums are computed per candidate, never the error itself.
#include "quant/scale_search.h"

#include <algorithm>
#include <cmath>

#include "quant/lanes.h"

namespace carat::quant {
namespace {

constexpr float kTiny = 1e-30f;  // a run whose largest value is below this is zero

struct Sums {
  float l = 0, ll = 0, xl = 0;
};

// Sums over the run of w q, w q q, w x q for q = clamp(round((x + offset) * inverse)).
template <int kN, bool kNeedsL>
Sums sums_of(const Run& run, float offset, float inverse, float low, float high) {
  F4 l{}, ll{}, xl{};
  for (int i = 0; i < kN; i += 4) {
    const F4 x = load4(run.x + i), w = load4(run.w + i);
    const F4 q = clamp4(round4((kNeedsL ? x + offset : x) * inverse), low, high);
    const F4 wq = w * q;
    if (kNeedsL) l += wq;
    ll += wq * q;
    xl += wq * x;
  }
  return {kNeedsL ? sum4(l) : 0.0f, sum4(ll), sum4(xl)};
}

template <int kN>
float error_of_run(const Run& run, float scale, float min, float low, float high, float* with_q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  F4 error{};
  for (int i = 0; i < kN; i += 4) {
    const F4 x = load4(run.x + i), w = load4(run.w + i);
    const F4 q = clamp4(round4((x + min) * inverse), low, high);
    const F4 d = x - (q * scale - min);
    error += w * d * d;
    if (with_q) store4(with_q + i, q);
  }
  return sum4(error);
}

template <int kN>
Fit fit_scale_of_run(const Run& run, float low, float high) {
  float largest = 0, extreme = 0;
  for (int i = 0; i < kN; ++i)
    if (std::fabs(run.x[i]) > largest) largest = std::fabs(run.x[i]), extreme = run.x[i];
  if (largest < kTiny) return {};
  Fit best;
  float gain = 0;
  const auto attempt = [&](float end) {
    const Sums s = sums_of<kN, false>(run, 0.0f, end / extreme, low, high);
    if (s.ll > 0 && s.xl * s.xl > gain * s.ll) {
      gain = s.xl * s.xl / s.ll;
      best.scale = s.xl / s.ll;
    }
  };
  // The extreme value on `low` (the longer side), a little before it, or a little beyond; or on the shorter side, cut off there.
  const bool coarse = high < 4;
  const int steps = coarse ? 3 : 9;
  const float step = coarse ? 0.25f : 0.1f;
  for (int i = -steps; i <= steps; ++i) attempt(low - step * static_cast<float>(i));
  for (int i = 0; i <= (coarse ? 2 : 4); ++i) attempt(high + step * static_cast<float>(i));
  return best;
}

template <int kN>
Fit fit_scale_and_min_of_run(const Run& run, float high, bool any_min) {
  float low_x = any_min ? run.x[0] : std::min(0.0f, run.x[0]), high_x = run.x[0];
  for (int i = 0; i < kN; ++i) low_x = std::min(low_x, run.x[i]), high_x = std::max(high_x, run.x[i]);
  if (high_x - low_x < kTiny) return {0, -low_x};
  F4 w4{}, wx4{};
  for (int i = 0; i < kN; i += 4) {
    const F4 x = load4(run.x + i), w = load4(run.w + i);
    w4 += w, wx4 += w * x;
  }
  const float w = sum4(w4), wx = sum4(wx4);
  Fit best{(high_x - low_x) / high, -low_x};
  float gain = -1;
  const auto attempt = [&](float offset, float inverse) {
    const Sums s = sums_of<kN, true>(run, offset, inverse, 0.0f, high);
    const float determinant = w * s.ll - s.l * s.l;
    if (!(determinant > 0)) return false;
    float scale = (w * s.xl - wx * s.l) / determinant, min = (s.ll * wx - s.l * s.xl) / determinant;
    if (min > 0 && !any_min) min = 0, scale = s.ll > 0 ? s.xl / s.ll : 0.0f;
    const float g = scale * s.xl + min * wx;  // by this much the solution's error is below that of all zeros
    if (!(scale > 0 && g > gain)) return false;
    gain = g, best = {scale, -min};
    return true;
  };
  const int steps = high < 4 ? 24 : 20;
  const float first = high < 4 ? -0.8f : -1.0f, step = high < 4 ? 0.05f : 0.1f;
  for (int i = 0; i <= steps; ++i) attempt(-low_x, (high + first + step * static_cast<float>(i)) / (high_x - low_x));
  // The best integers for that solution may be others, with a solution that is better still.
  for (int i = 0; i < 3; ++i)
    if (!attempt(best.min, 1.0f / best.scale)) break;
  return best;
}

}  // namespace

float error_of(const Run& run, float scale, float min, float low, float high, float* with_q) {
  return run.n == 16 ? error_of_run<16>(run, scale, min, low, high, with_q) : error_of_run<32>(run, scale, min, low, high, with_q);
}

Fit fit_scale(const Run& run, float low, float high) { return run.n == 16 ? fit_scale_of_run<16>(run, low, high) : fit_scale_of_run<32>(run, low, high); }

Fit fit_scale_and_min(const Run& run, float high, bool any_min) {
  return run.n == 16 ? fit_scale_and_min_of_run<16>(run, high, any_min) : fit_scale_and_min_of_run<32>(run, high, any_min);
}

}  // namespace carat::quant
