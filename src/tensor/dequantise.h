#pragma once
// Exact scalar decoding of each element type to f32: the meaning of the bytes. Source of the layouts: ggml (docs/formats.md).
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace carat {

float f16_to_f32(uint16_t h);  // exact, subnormals, inf and NaN included
uint16_t f32_to_f16(float f);  // round to nearest even; overflow gives inf
inline float bf16_to_f32(uint16_t h) { return __builtin_bit_cast(float, static_cast<uint32_t>(h) << 16); }
uint16_t f32_to_bf16(float f);  // round to nearest even; NaN stays NaN

// n elements of type t (float or quantised) at src -> dst. n is a multiple of the block size. src may be unaligned.
void dequantise(DType t, const std::byte* src, float* dst, int64_t n);

}  // namespace carat
