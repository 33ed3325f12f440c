#include "kernels/simd/neon.h"

#include "kernels/generic/table.h"
#include "kernels/targets.h"

namespace carat::kernels {
namespace {
struct Simd : Neon<true> {};  // a name of its own: everything instantiated with it is local to this file
constexpr KernelTable kTable = make_table<Simd>("neon_dotprod");
}  // namespace

const KernelTable* neon_dotprod_table() { return &kTable; }

}  // namespace carat::kernels
