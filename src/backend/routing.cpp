#include "backend/routing.h"

namespace carat {

void choose_experts(const float* p, int64_t num_experts, int64_t top_k, int32_t* experts, float* weights) {
  int64_t n = 0;
  for (int64_t e = 0; e < num_experts; ++e) {  // insertion into a short sorted list: strict comparison keeps the lower expert first
    if (n == top_k && !(p[e] > weights[n - 1])) continue;
    int64_t i = n < top_k ? n++ : n - 1;
    for (; i > 0 && p[e] > weights[i - 1]; --i) weights[i] = weights[i - 1], experts[i] = experts[i - 1];
    weights[i] = p[e];
    experts[i] = static_cast<int32_t>(e);
  }
  float sum = 0;
  for (int64_t i = 0; i < top_k; ++i) sum += weights[i];
  for (int64_t i = 0; i < top_k; ++i) weights[i] /= sum;
}

}  // namespace carat
