#include "kernels/simd/avx512.h"

#include "kernels/generic/table.h"
#include "kernels/targets.h"

namespace carat::kernels {
namespace {
struct Simd : Avx512<false> {};  // a name of its own: everything instantiated with it is local to this file
constexpr KernelTable kTable = make_table<Simd>("avx512");
}  // namespace

const KernelTable* avx512_table() { return &kTable; }

}  // namespace carat::kernels
