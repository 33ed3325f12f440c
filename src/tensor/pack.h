#pragma once
// Row-major rows of a file (blocks of its type) <-> panels of 16 outputs. The same information in another order: nothing is rounded.
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/panel.h"

namespace carat {

// Types a matrix in panels may have: f32 f16 bf16 and every quantised type.
bool packable(DType t);
// Bytes of one panel (16 outputs, k inputs). k is a multiple of the type's block size.
int64_t panel_bytes(DType t, int64_t k);
// Panels of a matrix: the last one may have outputs that do not exist.
constexpr int64_t panels_of(int64_t rows) { return (rows + kLanes - 1) / kLanes; }

// rows[i]: one row in file order, row_bytes(t, k) bytes; null = an output that does not exist (zeros).
void pack_panel(DType t, const std::byte* const rows[16], int64_t k, std::byte* panel);
// n rows, one behind the other in file order -> panels_of(n) panels.
void pack_rows(DType t, const std::byte* rows, int64_t n, int64_t k, std::byte* panels);
// One output of a panel back in file order: the bytes it was packed from.
void unpack_blocks(DType t, const std::byte* panel, int lane, int64_t k, std::byte* row);
// One output of a panel back as f32: exactly what dequantise() gives for the row it was packed from.
void unpack_row(DType t, const std::byte* panel, int lane, int64_t k, float* out);

}  // namespace carat
