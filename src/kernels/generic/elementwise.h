#pragma once
// Kernels that treat each element alone, rope included.
#include <cstdint>

#include "kernels/generic/math.h"
#include "kernels/kernels.h"

namespace carat::kernels {

// out[i] = f(a[i], b[i]).
template <class S, typename F>
[[gnu::always_inline]] inline void each2(const float* a, const float* b, int64_t n, float* out, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) S::store(out + i, f(S::load(a + i), S::load(b + i)));
  if (i < n) S::store_n(out + i, f(S::load_n(a + i, n - i), S::load_n(b + i, n - i)), n - i);
}

template <class S, typename F>
[[gnu::always_inline]] inline void each1(const float* a, int64_t n, float* out, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) S::store(out + i, f(S::load(a + i)));
  if (i < n) S::store_n(out + i, f(S::load_n(a + i, n - i)), n - i);
}

template <class S>
void add(const float* a, const float* b, int64_t n, float* out) {
  each2<S>(a, b, n, out, [](auto x, auto y) __attribute__((always_inline)) { return S::add(x, y); });
}

template <class S>
void mul(const float* a, const float* b, int64_t n, float* out) {
  each2<S>(a, b, n, out, [](auto x, auto y) __attribute__((always_inline)) { return S::mul(x, y); });
}

template <class S>
void scale(const float* a, float s, int64_t n, float* out) {
  const auto by = S::set1(s);
  each1<S>(a, n, out, [&](auto x) __attribute__((always_inline)) { return S::mul(x, by); });
}

template <class S>
void axpy(const float* x, float s, int64_t n, float* y) {
  const auto by = S::set1(s);
  each2<S>(x, y, n, y, [&](auto a, auto b) __attribute__((always_inline)) { return S::fma(by, a, b); });
}

template <class S>
void gelu_mul(const float* gate, const float* up, int64_t n, float* out) {
  each2<S>(gate, up, n, out, [](auto g, auto u) __attribute__((always_inline)) { return S::mul(gelu_tanh<S>(g), u); });
}

template <class S>
void softcap(float* x, float cap, int64_t n) {
  const auto c = S::set1(cap);
  each1<S>(x, n, x, [&](auto v) __attribute__((always_inline)) { return S::mul(c, tanh<S>(S::div(v, c))); });
}

template <class S>
void rope(float* head, int64_t half, int64_t rotary_pairs, const float* cos, const float* sin) {
  float* upper = head + half;
  int64_t i = 0;
  for (; i + kLanes <= rotary_pairs; i += kLanes) {
    const auto a = S::load(head + i), b = S::load(upper + i), c = S::load(cos + i), s = S::load(sin + i);
    S::store(head + i, S::sub(S::mul(a, c), S::mul(b, s)));
    S::store(upper + i, S::add(S::mul(b, c), S::mul(a, s)));
  }
  if (i < rotary_pairs) {
    const int64_t n = rotary_pairs - i;
    const auto a = S::load_n(head + i, n), b = S::load_n(upper + i, n), c = S::load_n(cos + i, n), s = S::load_n(sin + i, n);
    S::store_n(head + i, S::sub(S::mul(a, c), S::mul(b, s)), n);
    S::store_n(upper + i, S::add(S::mul(b, c), S::mul(a, s)), n);
  }
}

}  // namespace carat::kernels
