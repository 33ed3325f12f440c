#include "kernels/simd/neon.h"

#include "kernels/generic/table.h"
#include "kernels/targets.h"

namespace carat::kernels {
namespace {
struct Simd : Neon<false> {};  // a name of its own: everything instantiated with it is local to this file
constexpr KernelTable kTable = make_table<Simd>("neon");
}  // namespace

const KernelTable* neon_table() { return &kTable; }

}  // namespace carat::kernels
