#pragma once
// The choice of experts, the same for every backend on the host.
#include <cstdint>

namespace carat {

// p: [E] probabilities (softmax over all experts). Fills experts[top_k], weights[top_k]: descending p, ties to the lower expert, renormalised to sum 1.
void choose_experts(const float* p, int64_t num_experts, int64_t top_k, int32_t* experts, float* weights);

}  // namespace carat
