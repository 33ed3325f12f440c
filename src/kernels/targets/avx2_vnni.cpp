#include "kernels/simd/avx2.h"

#include "kernels/generic/table.h"
#include "kernels/targets.h"

namespace carat::kernels {
namespace {
struct Simd : Avx2<true> {};  // a name of its own: everything instantiated with it is local to this file
constexpr KernelTable kTable = make_table<Simd>("avx2_vnni");
}  // namespace

const KernelTable* avx2_vnni_table() { return &kTable; }

}  // namespace carat::kernels
