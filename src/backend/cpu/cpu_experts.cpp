// Experts on the CPU: rows are gathered by expert, the matrices of all active experts are one list of pieces for the pool, a row's experts are added in slot order.
#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_ops.h"
#include "backend/routing.h"
#include "base/error.h"

namespace carat {
namespace {

struct Group {  // the rows of one active expert
  const Expert* expert;
  int64_t first, rows;  // in the gathered order
};

constexpr int64_t kPanelsAPiece = 8;

int64_t pieces_of(const Linear& w) { return ((w.out + kernels::kLanes - 1) / kernels::kLanes + kPanelsAPiece - 1) / kPanelsAPiece; }

}  // namespace

Routing CpuOps::route(Tensor logits, int64_t top_k) {
  Tensor p = empty(logits.rows, logits.cols);
  auto* experts = arena_.array<int32_t>(logits.rows * top_k);
  auto* weights = arena_.array<float>(logits.rows * top_k);
  for_rows(logits.rows, logits.cols * 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      std::memcpy(p.row(r), logits.row(r), static_cast<size_t>(logits.cols) * sizeof(float));
      k_.softmax(p.row(r), p.cols);
      choose_experts(p.row(r), p.cols, top_k, experts + r * top_k, weights + r * top_k);
    }
  });
  if (rehearsing_) std::fill_n(experts, logits.rows * top_k, 0);  // the choice changes no size
  return {experts, weights, logits.rows, top_k};
}

kernels::QuantRows CpuOps::gather(const kernels::QuantRows& from, const int64_t* place, int64_t slots, int64_t top_k) {
  kernels::QuantRows to = from;
  to.rows = slots;
  // An array of which a row has k / share elements.
  auto collect = [&]<typename T>(const T* values, int64_t share) -> const T* {
    if (!values) return nullptr;
    const int64_t n = from.k / share;
    T* out = arena_.array<T>(slots * n);
    for_rows(slots, n, [&](int64_t begin, int64_t end, int) {
      for (int64_t s = begin; s < end; ++s) std::memcpy(out + place[s] * n, values + s / top_k * n, static_cast<size_t>(n) * sizeof(T));
    });
    return out;
  };
  to.q = collect(from.q, 1);
  to.scale = collect(from.scale, from.factor ? kernels::kTileK : kernels::kGroup);
  to.sum16 = collect(from.sum16, 16);
  to.factor = collect(from.factor, kernels::kGroup);
  to.pair16 = collect(from.pair16, kernels::kGroup);
  to.pair32 = collect(from.pair32, 2 * kernels::kGroup);
  return to;
}

Tensor CpuOps::experts(Tensor x, const ExpertStack& stack, const Routing& routing) {
  const int64_t num_experts = static_cast<int64_t>(stack.experts.size());
  const int64_t slots = x.rows * routing.top_k;
  const int64_t width = stack.experts[0].down.in;
  const int64_t hidden = stack.experts[0].down.out;

  // place[slot]: where slot's row stands in the gathered order.
  auto* count = arena_.array<int64_t>(num_experts + 1);
  std::fill_n(count, num_experts + 1, 0);
  for (int64_t s = 0; s < slots; ++s) ++count[routing.experts[s] + 1];
  auto* groups = arena_.array<Group>(num_experts);
  int64_t num_groups = 0;
  for (int64_t e = 0; e < num_experts; ++e) {
    if (count[e + 1] > 0) groups[num_groups++] = {&stack.experts[static_cast<size_t>(e)], count[e], count[e + 1]};
    count[e + 1] += count[e];
  }
  auto* place = arena_.array<int64_t>(slots);
  for (int64_t s = 0; s < slots; ++s) place[s] = count[routing.experts[s]]++;

  // The rows of the experts' input, gathered by expert: as int8 where the matrices are, each row quantised once however many experts it uses.
  const bool quantised_input = is_quantised(stack.experts[0].gate_up.dtype);
  Tensor gathered{nullptr, slots, x.cols};
  kernels::QuantRows gathered_q;
  if (quantised_input) {
    gathered_q = gather(quantise(x, stack.experts[0].gate_up.dtype), place, slots, routing.top_k);
  } else {
    gathered = empty(slots, x.cols);
    for_rows(slots, x.cols, [&](int64_t begin, int64_t end, int) {
      for (int64_t s = begin; s < end; ++s) std::memcpy(gathered.row(place[s]), x.row(s / routing.top_k), static_cast<size_t>(x.cols) * sizeof(float));
    });
  }
  auto part_of = [](Tensor t, int64_t first, int64_t n) { return Tensor{t.row(first), n, t.cols}; };
  auto run = [&](Tensor in, const kernels::QuantRows& q, Tensor out, Linear Expert::* matrix) {
    const int64_t pieces = pieces_of(groups[0].expert->*matrix);
    parallel(num_groups * pieces, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t j = begin; j < end; ++j) {
        const Group& g = groups[j / pieces];
        const Linear& w = g.expert->*matrix;
        const kernels::QuantRows rows = q.q ? kernels::rows_of(q, g.first, g.rows) : q;
        const int64_t panel = j % pieces * kPanelsAPiece;
        const int64_t panels = (w.out + kernels::kLanes - 1) / kernels::kLanes;
        matmul(w, q.q ? Tensor{} : part_of(in, g.first, g.rows), &rows, panel, std::min(panel + kPanelsAPiece, panels), part_of(out, g.first, g.rows));
      }
    });
  };
  Tensor gate_up = empty(slots, 2 * width);
  run(gathered, gathered_q, gate_up, &Expert::gate_up);
  Tensor h = empty(slots, width);
  for_rows(slots, 2 * width, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) k_.gelu_mul(gate_up.row(s), gate_up.row(s) + width, width, h.row(s));
  });
  Tensor down = empty(slots, hidden);
  run(h, is_quantised(stack.experts[0].down.dtype) ? quantise(h, stack.experts[0].down.dtype) : kernels::QuantRows{}, down, &Expert::down);

  Tensor out = empty(x.rows, hidden);
  for_rows(x.rows, hidden * routing.top_k, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      std::memset(out.row(r), 0, static_cast<size_t>(hidden) * sizeof(float));
      for (int64_t i = 0; i < routing.top_k; ++i) {
        const int64_t s = r * routing.top_k + i;
        k_.axpy(down.row(place[s]), routing.weights[s] * stack.scale[static_cast<size_t>(routing.experts[s])], hidden, out.row(r));
      }
    }
  });
  return out;
}

}  // namespace carat
