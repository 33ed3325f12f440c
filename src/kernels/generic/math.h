#pragma once
// exp, tanh and GELU for 16 lanes: our own, so that every instruction set gives the same bits. NaN in, NaN out.
#include <cstdint>

namespace carat::kernels {

// exp(x) = 2^n * exp(r), |r| <= ln2 / 2. parts() gives n and p = exp(r) - 1 by the Taylor series to r^7 (next term 5e-9 of the result).
template <class S>
struct ExpParts {
  typename S::I32 n;
  typename S::F32 p;
};

template <class S>
[[gnu::always_inline]] inline ExpParts<S> exp_parts(typename S::F32 x) {
  const auto magic = S::set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to nearest even
  const auto t = S::fma(x, S::set1(1.44269504088896341f), magic);
  const auto nf = S::sub(t, magic);
  // ln2 as the sum of two floats
  auto r = S::fma(nf, S::set1(-0.693147182464599609375f), x);
  r = S::fma(nf, S::set1(1.904654299957768e-9f), r);
  auto p = S::set1(1.0f / 5040);
  p = S::fma(p, r, S::set1(1.0f / 720));
  p = S::fma(p, r, S::set1(1.0f / 120));
  p = S::fma(p, r, S::set1(1.0f / 24));
  p = S::fma(p, r, S::set1(1.0f / 6));
  p = S::fma(p, r, S::set1(0.5f));
  p = S::fma(S::mul(p, r), r, r);
  return {S::sub_i(S::bits(t), S::bits(magic)), p};
}

template <class S>
[[gnu::always_inline]] inline typename S::F32 power_of_two(typename S::I32 n) {  // -126 <= n <= 127
  return S::from_bits(S::template shl_i<23>(S::add_i(n, S::set1_i(127))));
}

// Below -104 gives 0, above 88.7 inf, subnormal results are right.
template <class S>
[[gnu::always_inline]] inline typename S::F32 exp(typename S::F32 x) {
  x = S::min(S::set1(89.0f), S::max(S::set1(-104.0f), x));
  const auto e = exp_parts<S>(x);
  const auto half = S::template sra_i<1>(e.n);  // 2^n in two factors: n reaches from -150 to 128
  const auto y = S::add(e.p, S::set1(1.0f));
  return S::mul(S::mul(y, power_of_two<S>(half)), power_of_two<S>(S::sub_i(e.n, half)));
}

// tanh(x) = m / (m + 2) with m = exp(2|x|) - 1, small x included.
template <class S>
[[gnu::always_inline]] inline typename S::F32 tanh(typename S::F32 x) {
  const auto a = S::min(S::set1(10.0f), S::abs(x));  // tanh(10) rounds to 1
  const auto e = exp_parts<S>(S::add(a, a));
  const auto scale = power_of_two<S>(e.n);
  const auto m = S::fma(e.p, scale, S::sub(scale, S::set1(1.0f)));
  return S::copy_sign(S::div(m, S::add(m, S::set1(2.0f))), x);
}

// x/2 (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): no cancellation for negative x.
template <class S>
[[gnu::always_inline]] inline typename S::F32 gelu_tanh(typename S::F32 x) {
  const auto w = S::fma(S::mul(x, x), S::set1(-0.0713548162726009f), S::set1(-1.5957691216057308f));
  return S::div(x, S::add(S::set1(1.0f), exp<S>(S::mul(x, w))));
}

}  // namespace carat::kernels
