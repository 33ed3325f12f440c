#include "kernels/simd/neon_i8mm.h"

#include "kernels/generic/table.h"
#include "kernels/targets.h"

namespace carat::kernels {
namespace {
struct Simd : NeonI8mm {};  // a name of its own: everything instantiated with it is local to this file
constexpr KernelTable kTable = make_table<Simd>("neon_i8mm");
}  // namespace

const KernelTable* neon_i8mm_table() { return &kTable; }

}  // namespace carat::kernels
