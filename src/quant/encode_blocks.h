#pragma once
// One block of each kind. x: the block's values; w: the weight of each one's error, null where the plain rule of the reference is wanted (encode.h says for which).
#include "tensor/blocks.h"

namespace carat::quant {

// encode_simple.cpp: 32 values under one scale.
void encode_block(BlockQ4_0& b, const float* x, const float* w);
void encode_block(BlockQ4_1& b, const float* x, const float* w);
void encode_block(BlockQ5_0& b, const float* x, const float* w);
void encode_block(BlockQ5_1& b, const float* x, const float* w);
void encode_block(BlockQ8_0& b, const float* x, const float* w);
// encode_k.cpp: 256 values in runs whose scales are small integers; w is never null.
void encode_block(BlockQ2_K& b, const float* x, const float* w);
void encode_block(BlockQ3_K& b, const float* x, const float* w);
void encode_block(BlockQ4_K& b, const float* x, const float* w);
void encode_block(BlockQ5_K& b, const float* x, const float* w);
void encode_block(BlockQ6_K& b, const float* x, const float* w);
// encode_table.cpp: values from a table. w may be null for MXFP4 only.
void encode_block(BlockIQ4_NL& b, const float* x, const float* w);
void encode_block(BlockIQ4_XS& b, const float* x, const float* w);
void encode_block(BlockMXFP4& b, const float* x, const float* w);
void encode_block(BlockNVFP4& b, const float* x, const float* w);

}  // namespace carat::quant
