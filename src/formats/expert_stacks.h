#pragma once
// Experts that a Hugging Face folder names singly, as one tensor a layer.
#include <vector>

#include "formats/checkpoint.h"
#include "formats/packed_tensors.h"

namespace carat {

// P.experts.E.{gate_proj,up_proj,down_proj}.weight [rows, cols] of E = 0..n-1 become P.experts.{gate_proj,up_proj,down_proj} [n, rows, cols], in their type if they
// have one type, else in F32; their factors P.experts.E.*.scale, if one has any, become P.experts.*.scale [n]. An expert among `unread` is added there for its stack.
// Fails with corrupt when the numbers have holes or the shapes differ.
void stack_experts(std::vector<TensorInfo>& tensors, std::vector<UnreadTensor>& unread);

}  // namespace carat
