#pragma once
// f32 activations x f32, f16 or bf16 panels: acc = fma(w, x, acc), k ascending.
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace carat::kernels {

template <class S, DType T>
[[gnu::always_inline]] inline typename S::F32 load_weights(const std::byte* panel, int64_t k) {
  if constexpr (T == DType::f32)
    return S::load(reinterpret_cast<const float*>(panel) + k * kLanes);
  else if constexpr (T == DType::f16)
    return S::load_f16(panel + k * kLanes * 2);
  else
    return S::load_bf16(panel + k * kLanes * 2);
}

template <class S, DType T, int R, int P>
[[gnu::noinline]] void dense_tile(const DenseMatmul& a, int64_t panel, int64_t row0) {
  constexpr int64_t kSize = T == DType::f32 ? 4 : 2;
  const int64_t panel_size = a.k * kLanes * kSize;
  const std::byte* w = a.panels + panel * panel_size;
  const float* x = a.x + row0 * a.ldx;
  typename S::F32 sum[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sum[r][p] = S::zero();
  for (int64_t k = 0; k < a.k; ++k) {
    typename S::F32 weights[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) weights[p] = load_weights<S, T>(w + p * panel_size, k);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const auto value = S::set1(x[r * a.ldx + k]);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[r][p] = S::fma(weights[p], value, sum[r][p]);
    }
  }
  for (int p = 0; p < P; ++p) {
    const int64_t column = (panel + p) * kLanes;
    const int64_t columns = a.n - column < kLanes ? a.n - column : kLanes;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) S::store_n(a.out + (row0 + r) * a.ldo + column - a.column0, sum[r][p], columns);
  }
}

template <class S, DType T, int R, int P>
void dense_rows(const DenseMatmul& a, int64_t panel, int64_t row0) {
  for (; row0 + R <= a.rows; row0 += R) dense_tile<S, T, R, P>(a, panel, row0);
  if constexpr (R > 1)
    if (row0 < a.rows) dense_rows<S, T, R / 2, P>(a, panel, row0);
}

template <class S, DType T>
void matmul_dense_type(const DenseMatmul& a) {
  int64_t p = a.panel_begin;
  if (a.rows == 1) {
    for (; p + S::kDecodePanels <= a.panel_end; p += S::kDecodePanels) dense_tile<S, T, 1, S::kDecodePanels>(a, p, 0);
  } else {
    for (; p + S::kDensePanels <= a.panel_end; p += S::kDensePanels) dense_rows<S, T, S::kDenseRows, S::kDensePanels>(a, p, 0);
  }
  for (; p < a.panel_end; ++p) dense_rows<S, T, S::kDenseRows, 1>(a, p, 0);
}

template <class S>
void matmul_dense(const DenseMatmul& a) {
  switch (a.dtype) {
    case DType::f32: return matmul_dense_type<S, DType::f32>(a);
    case DType::f16: return matmul_dense_type<S, DType::f16>(a);
    case DType::bf16: return matmul_dense_type<S, DType::bf16>(a);
    default: return;  // not a dense type: the caller's mistake, nothing is written
  }
}

}  // namespace carat::kernels
