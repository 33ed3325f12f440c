#include "kernels/simd/scalar.h"
#include "kernels/generic/table.h"
#include "kernels/targets.h"

namespace carat::kernels {
namespace {
struct Simd : Scalar {};  // a name of its own: everything instantiated with it is local to this file
constexpr KernelTable kTable = make_table<Simd>("scalar");
}  // namespace

const KernelTable* scalar_table() { return &kTable; }

}  // namespace carat::kernels
