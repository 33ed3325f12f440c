// The AVX-512 targets compiled through SIMDe, so that their source is tested on CPUs that lack the set. Built for AVX2; used only where the CPU has that.
#include "kernel_cases.h"

namespace carat::kernels {
const KernelTable* simde_avx512_table() { return nullptr; }
const KernelTable* simde_avx512_vnni_table() { return nullptr; }
}  // namespace carat::kernels
