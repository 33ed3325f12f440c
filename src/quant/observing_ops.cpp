#include "quant/observing_ops.h"

#include <vector>

namespace carat::quant {

// The backend keeps what is inside an expert to itself, so that part is done once more, expert by expert, for a look at it.
Tensor ObservingOps::experts(Tensor x, const ExpertStack& stack, const Routing& routing) {
  if (on_expert) {
    std::vector<std::vector<int32_t>> rows(stack.experts.size());
    for (int64_t s = 0; s < routing.rows * routing.top_k; ++s) rows[static_cast<size_t>(routing.experts[s])].push_back(static_cast<int32_t>(s / routing.top_k));
    for (size_t e = 0; e < rows.size(); ++e) {
      if (rows[e].empty()) continue;
      const Expert& expert = stack.experts[e];
      const int64_t width = expert.down.in;
      const Tensor input = ops_->rows(x, rows[e]);
      const Tensor both = ops_->linear(input, expert.gate_up);
      const Tensor hidden = ops_->gelu_mul(ops_->columns(both, 0, width), ops_->columns(both, width, width));
      on_expert(stack, static_cast<int64_t>(e), input, hidden);
    }
  }
  return ops_->experts(x, stack, routing);
}

}  // namespace carat::quant
