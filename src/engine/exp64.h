#pragma once
// exp of a double <= 0 and a logarithm, from additions and multiplications alone: the same bits on every machine, which libm does not promise.
#include <bit>
#include <cstdint>

namespace carat {

// Error below 1.5 units in the last place.
inline double exp_of_nonpositive(double x) {
  constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2Hi = 0x1.62e42fefa0000p-1, kLn2Lo = 0x1.cf79abc9e3b3ap-40;
  constexpr double kShift = 0x1.8p52;  // adding it rounds to an integer, which then lies in the low bits
  const bool tiny = !(x > -708.0);     // below the normal numbers: 0, also for NaN
  x = tiny ? 0.0 : x;
  const double shifted = x * kLog2e + kShift;
  const double k = shifted - kShift;
  const double r = (x - k * kLn2Hi) - k * kLn2Lo;  // |r| <= ln(2) / 2
  // Taylor to r^13: the rest is below 2^-57.
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = (p * r) * r + r + 1.0;
  const double scale = std::bit_cast<double>((std::bit_cast<uint64_t>(shifted) + 1023) << 52);
  return tiny ? 0.0 : p * scale;
}

// Logarithm of t in [1, 2^60], by Newton's method on the exponential above.
inline double log_of_at_least_one(double t) {
  const auto bits = std::bit_cast<uint64_t>(t);
  const auto exponent = static_cast<int>(bits >> 52) - 1023;
  const double mantissa = std::bit_cast<double>((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
  double y = (exponent + (mantissa - 1.0)) * 0x1.62e42fefa39efp-1;  // within 0.06
  for (int i = 0; i < 5; ++i) y += t * exp_of_nonpositive(-y) - 1.0;
  return y;
}

}  // namespace carat
