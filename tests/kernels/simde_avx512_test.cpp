// The AVX-512 targets compiled through SIMDe, so that their source is tested on CPUs that lack the set. Built for AVX2 (cmake/isa.cmake); used only where
// the CPU has that. Includes nothing of the standard library, for the same reason as the targets.
#include "kernels/kernels.h"
#include "kernels/targets.h"

#if defined(__x86_64__)
#include "simde_avx512.h"

#define Avx512 SimdeAvx512  // another type than the native one of the product
#include "kernels/simd/avx512.h"
#undef Avx512

#include "kernels/generic/table.h"

namespace carat::kernels {
namespace {
struct Plain : SimdeAvx512<false> {};
struct Vnni : SimdeAvx512<true> {};
constexpr KernelTable kPlain = make_table<Plain>("avx512");
constexpr KernelTable kVnni = make_table<Vnni>("avx512_vnni");
}  // namespace

const KernelTable* simde_avx512_table() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kPlain : nullptr; }
const KernelTable* simde_avx512_vnni_table() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kVnni : nullptr; }

}  // namespace carat::kernels
#else
namespace carat::kernels {
const KernelTable* simde_avx512_table() { return nullptr; }
const KernelTable* simde_avx512_vnni_table() { return nullptr; }
}  // namespace carat::kernels
#endif
