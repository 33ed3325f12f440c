#pragma once
// All kernels for one Simd type.
#include "kernels/generic/attention.h"
#include "kernels/generic/elementwise.h"
#include "kernels/generic/matmul_dense.h"
#include "kernels/generic/matmul_quant.h"
#include "kernels/generic/norm.h"
#include "kernels/generic/quantise_rows.h"
#include "kernels/generic/roofline.h"
#include "kernels/kernels.h"

namespace carat::kernels {

template <class S>
constexpr KernelTable make_table(const char* name) {
  return {
      .name = name,
      .quantise_rows = quantise_rows<S>,
      .quantise_tiles = quantise_tiles<S>,
      .matmul_quant = matmul_quant<S>,
      .matmul_dense = matmul_dense<S>,
      .rms_norm = rms_norm<S>,
      .add_rms_norm = add_rms_norm<S>,
      .rope = rope<S>,
      .add = add<S>,
      .mul = mul<S>,
      .scale = scale<S>,
      .axpy = axpy<S>,
      .gelu_mul = gelu_mul<S>,
      .softcap = softcap<S>,
      .softmax = softmax<S>,
      .attend_split = attend_split<S>,
      .attend_merge = attend_merge<S>,
      .attend_finish = attend_finish<S>,
      .store_k = store_k<S>,
      .store_v = store_v<S>,
      .spin_f32 = spin_f32<S>,
      .spin_int8 = spin_int8<S>,
      .read_bytes = read_bytes<S>,
  };
}

}  // namespace carat::kernels
