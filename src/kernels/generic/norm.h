#pragma once
// RMSNorm and softmax over one row: 16 strided sums, then the fixed tree.
#include <cstdint>

#include "kernels/generic/elementwise.h"
#include "kernels/generic/math.h"
#include "kernels/kernels.h"

namespace carat::kernels {

template <class S>
[[gnu::always_inline]] inline float inverse_rms(const float* x, float eps, int64_t n) {
  auto sum = S::zero();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto v = S::load(x + i);
    sum = S::fma(v, v, sum);
  }
  if (i < n) {
    const auto v = S::load_n(x + i, n - i);
    sum = S::fma(v, v, sum);
  }
  const float mean = S::reduce_add(sum) / static_cast<float>(n);
  return 1.0f / __builtin_sqrtf(mean + eps);
}

template <class S>
void rms_norm(const float* x, const float* w, float eps, int64_t n, float* out) {
  const auto by = S::set1(inverse_rms<S>(x, eps, n));
  if (w == nullptr)
    each1<S>(x, n, out, [&](auto v) __attribute__((always_inline)) { return S::mul(v, by); });
  else
    each2<S>(x, w, n, out, [&](auto v, auto g) __attribute__((always_inline)) { return S::mul(S::mul(v, by), g); });
}

template <class S>
void add_rms_norm(const float* x, const float* h, const float* w, float eps, int64_t n, float* out) {
  const auto by = S::set1(inverse_rms<S>(h, eps, n));
  int64_t i = 0;
  for (; i < n; i += kLanes) {
    const int64_t m = n - i;
    auto v = S::mul(S::load_n(h + i, m), by);
    if (w != nullptr) v = S::mul(v, S::load_n(w + i, m));
    S::store_n(out + i, S::add(S::load_n(x + i, m), v), m);
  }
}

template <class S>
void softmax(float* x, int64_t n) {
  if (n <= 0) return;
  const auto low = S::set1(-__builtin_inff());
  auto top = low;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) top = S::max(top, S::load(x + i));
  if (i < n) top = S::max(top, S::select(S::range(0, n - i), S::load_n(x + i, n - i), low));
  const auto max = S::set1(S::reduce_max(top));
  auto sum = S::zero();
  for (i = 0; i < n; i += kLanes) {
    const int64_t m = n - i;
    auto p = exp<S>(S::sub(S::load_n(x + i, m), max));
    if (m < kLanes) p = S::select(S::range(0, m), p, S::zero());
    sum = S::add(sum, p);
    S::store_n(x + i, p, m);
  }
  const auto total = S::set1(S::reduce_add(sum));
  each1<S>(x, n, x, [&](auto p) __attribute__((always_inline)) { return S::div(p, total); });
}

}  // namespace carat::kernels
