#pragma once
// One function an instruction set, each defined in targets/<name>.cpp. Only dispatch.cpp (and tests) call them: a table must not run on a CPU that lacks the set.
#include "kernels/kernels.h"

namespace carat::kernels {

const KernelTable* scalar_table();
const KernelTable* avx2_table();
const KernelTable* avx2_vnni_table();
const KernelTable* avx512_table();
const KernelTable* avx512_vnni_table();
void matmul_bf16_avx512(const DenseMatmul& a);  // bf16 panels only, activations rounded to bf16; needs AVX-512 BF16
const KernelTable* neon_table();
const KernelTable* neon_dotprod_table();
const KernelTable* neon_i8mm_table();

}  // namespace carat::kernels
