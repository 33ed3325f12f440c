#pragma once
// Row-major rows of a file (blocks of its type) <-> panels of 16 outputs. The same information in another order: nothing is rounded.
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace carat::kernels {

// Types a Linear may have: f32 f16 bf16 and every quantised type.
bool packable(DType t);
// Bytes of one panel (16 outputs, k inputs). k is a multiple of the type's block size.
int64_t panel_bytes(DType t, int64_t k);
// rows[i]: one row in file order, row_bytes(t, k) bytes; null = an output that does not exist (zeros).
void pack_panel(DType t, const std::byte* const rows[16], int64_t k, std::byte* panel);
// One output of a panel back as f32: exactly what dequantise() gives for the row it was packed from.
void unpack_row(DType t, const std::byte* panel, int lane, int64_t k, float* out);

}  // namespace carat::kernels
