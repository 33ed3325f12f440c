#pragma once
// f32 to each element type of GGUF files. What the bytes mean is tensor/dequantise.h's business; here they are chosen so that it gives back nearly the same numbers.
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace carat::quant {

// Types that can be written: f32 f16 bf16 and every quantised type.
bool encodable(DType t);

// A row of n values (a multiple of the type's block, all finite) at x -> out, row_bytes(t, n) bytes.
// importance: [n], >= 0, how much an error of each column matters; null: all the same.
// Without importance Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 and MXFP4 are the bytes of ggml's reference. The others, and all with importance, search for the scales whose
// squared error is least. A value that the type cannot hold (70000 in f16) becomes infinite: the caller looks at what comes back.
void encode_row(DType t, const float* x, int64_t n, const float* importance, std::byte* out);

}  // namespace carat::quant
