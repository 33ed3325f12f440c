#pragma once
// Four floats at once, for the searches of the encoders: plain arithmetic that every 64-bit CPU has, so that results are the same everywhere.
#include <cmath>
#include <cstring>

namespace carat::quant {

using F4 = float __attribute__((vector_size(16)));

inline F4 load4(const float* p) {
  F4 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store4(float* p, F4 v) { std::memcpy(p, &v, sizeof v); }
inline float sum4(F4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

// To the nearest integer, ties to even, for magnitudes below 2^22: adding 1.5 * 2^23 leaves no bits below 1.
inline F4 round4(F4 v) { return (v + 12582912.0f) - 12582912.0f; }
// NaN becomes low.
inline F4 clamp4(F4 v, float low, float high) {
  const F4 lo = F4{} + low, hi = F4{} + high;
  v = v > lo ? v : lo;
  return v < hi ? v : hi;
}

// The nearest integer in [low, high]; NaN gives low.
inline int nearest_in(float v, int low, int high) {
  if (!(v > static_cast<float>(low))) return low;
  return v < static_cast<float>(high) ? static_cast<int>(std::nearbyint(v)) : high;
}

}  // namespace carat::quant
