#include "model/work.h"

#include <algorithm>
#include <cmath>

#include "model/config.h"
#include "model/weights.h"

namespace carat {
namespace {

class Counter {
 public:
  // The matrix read once, whatever the rows.
  void matrix(const Linear& w, double rows) {
    if (!w || rows == 0) return;
    multiply(w, rows);
    work.bytes += static_cast<double>(w.bytes);
  }
  void multiply(const Linear& w, double rows) {
    const double ops = 2.0 * static_cast<double>(w.in) * static_cast<double>(w.out) * rows;
    (is_quantised(w.dtype) ? work.int8_ops : work.f32_ops) += ops;
  }
  void vector(const Vector& v) { work.bytes += static_cast<double>(v.size() * sizeof(float)); }

  Work work;
};

// Positions that the rows [depth, depth + rows) see: of each, added up; and of all together.
struct Seen {
  double pairs = 0, distinct = 0;
};
Seen seen(int64_t window, int64_t depth, int64_t rows) {
  Seen s;
  const int64_t most = window > 0 ? window : depth + rows;
  // A row at position i sees min(i + 1, window).
  const int64_t growing = std::clamp<int64_t>(most - depth, 0, rows);  // rows that see all before them
  s.pairs = static_cast<double>(growing) * (static_cast<double>(depth) + static_cast<double>(growing + 1) / 2) + static_cast<double>((rows - growing) * most);
  s.distinct = static_cast<double>(rows == 0 ? 0 : std::min(depth + rows, most + rows - 1));
  return s;
}

double kv_bytes_per_element(DType kv) { return static_cast<double>(kv == DType::f32 ? 4 : kv == DType::q8_0 ? 1 : 2) + (kv == DType::q8_0 ? 4.0 / 32 : 0); }

void attention(Counter& count, const AttentionSpec& spec, DType kv, const StepShape& shape, int64_t depth, int64_t rows) {
  const Seen s = seen(spec.sliding_window, depth, rows);
  const double sequences = static_cast<double>(shape.sequences), dims = spec.head_dim;
  count.work.f32_ops += sequences * s.pairs * 4.0 * spec.num_attention_heads * dims;  // q k, and p v
  const double kept = dims * spec.num_key_value_heads * (spec.one_tensor ? 1 : 2);
  count.work.bytes += sequences * s.distinct * kept * kv_bytes_per_element(kv);
}

void experts(Counter& count, const LayerWeights& w, double rows) {
  count.matrix(w.router, rows);
  count.vector(w.router_scale);
  const ExpertStack& stack = w.experts;
  const auto n = static_cast<double>(stack.experts.size()), chosen = static_cast<double>(stack.top_k);
  double bytes = 0;
  for (const Expert& e : stack.experts) {
    count.multiply(e.gate_up, rows * chosen / n);
    count.multiply(e.down, rows * chosen / n);
    bytes += static_cast<double>(e.gate_up.bytes + e.down.bytes);
  }
  count.work.bytes += bytes * (1 - std::pow(1 - chosen / n, rows));
  for (const Vector* v : {&w.pre_feedforward_norm_2, &w.post_feedforward_norm_1, &w.post_feedforward_norm_2}) count.vector(*v);
}

void layer(Counter& count, const LayerConfig& c, const LayerWeights& w, double rows) {
  for (const Linear* m : {&w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &w.mlp.gate, &w.mlp.up, &w.mlp.down, &w.per_layer_input_gate, &w.per_layer_projection}) {
    count.matrix(*m, rows);
  }
  for (const Vector* v :
       {&w.input_norm, &w.post_attention_norm, &w.pre_feedforward_norm, &w.post_feedforward_norm, &w.q_norm, &w.k_norm, &w.post_per_layer_input_norm}) {
    count.vector(*v);
  }
  if (c.has_experts) experts(count, w, rows);
}

// One row of a table in memory.
double row_bytes_of(const Linear& table) { return static_cast<double>(table.bytes) / static_cast<double>(std::max<int64_t>(1, table.out)); }

}  // namespace

Work step_work(const ModelConfig& config, const Weights& weights, DType kv, const StepShape& shape) {
  Counter count;
  const auto all = static_cast<double>(shape.sequences * shape.rows), wanted = static_cast<double>(shape.sequences * shape.logit_rows);
  count.work.bytes += all * row_bytes_of(weights.embed_tokens);
  if (config.hidden_size_per_layer_input > 0) {
    count.work.bytes += all * static_cast<double>(weights.embed_tokens_per_layer.bytes_per_row());
    count.matrix(weights.per_layer_model_projection[0], all);
    count.matrix(weights.per_layer_model_projection[1], wanted);
    count.vector(weights.per_layer_projection_norm);
  }
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const bool only_wanted = i >= config.first_shared_layer;
    const int64_t rows = only_wanted ? shape.logit_rows : shape.rows;
    if (rows == 0) break;  // no layer above is computed either
    const LayerConfig& c = config.layers[static_cast<size_t>(i)];
    layer(count, c, weights.layers[static_cast<size_t>(i)], only_wanted ? wanted : all);
    attention(count, c.attn, kv, shape, shape.depth + shape.rows - rows, rows);
  }
  if (wanted > 0) {
    count.vector(weights.norm);
    count.matrix(weights.lm_head ? weights.lm_head : weights.embed_tokens, wanted);
  }
  return count.work;
}

}  // namespace carat
