#include "model/decoder_layer.h"

namespace carat {
namespace {

Tensor attention(Ops& ops, const LayerConfig& c, const LayerWeights& w, const Batch& b, float eps, Tensor h) {
  const int64_t head_dim = c.attn.head_dim;
  auto [q, k, v] = c.owns_kv ? ops.linears(h, w.q_proj, w.k_proj, w.v_proj) : ops.linears(h, w.q_proj, {}, {});
  q = ops.head_norm_rope(q, w.q_norm.data(), eps, c.rope, head_dim, b.positions);
  if (c.owns_kv) {
    if (c.k_eq_v) v = k;
    if (c.has_v_norm) v = ops.rms_norm(v, nullptr, eps, head_dim);
    if (c.attn.one_tensor) {
      ops.kv_write_one(c.attn, v, b);  // K is rebuilt from V when it is read
    } else {
      ops.kv_write(c.attn, ops.head_norm_rope(k, w.k_norm.data(), eps, c.rope, head_dim, b.positions), v, b);
    }
  }
  return ops.linear(ops.attention(q, c.attn, b), w.o_proj);
}

Tensor feed_forward(Ops& ops, const LayerConfig& c, const LayerWeights& w, float eps, Tensor x) {
  const int64_t width = x.cols;
  Tensor h = ops.gated_mlp(ops.rms_norm(x, w.pre_feedforward_norm.data(), eps, width), w.mlp);
  if (!c.has_experts) return h;
  // The router sees the residual itself, normalised without weight; router_scale holds 1 / sqrt(hidden) too.
  Routing r = ops.route(ops.linear(ops.rms_norm(x, w.router_scale.data(), eps, width), w.router), w.experts.top_k);
  Tensor e = ops.experts(ops.rms_norm(x, w.pre_feedforward_norm_2.data(), eps, width), w.experts, r);
  return ops.add_norm(ops.rms_norm(h, w.post_feedforward_norm_1.data(), eps, width), e, w.post_feedforward_norm_2.data(), eps);
}

Tensor per_layer_input(Ops& ops, const LayerWeights& w, Tensor x, Tensor ple) {
  return ops.linear(ops.gelu_mul(ops.linear(x, w.per_layer_input_gate), ple), w.per_layer_projection);
}

}  // namespace

Tensor decoder_layer(Ops& ops, const LayerConfig& c, const LayerWeights& w, const Batch& b, float eps, Tensor x, Tensor ple) {
  Tensor h = attention(ops, c, w, b, eps, ops.rms_norm(x, w.input_norm.data(), eps, x.cols));
  x = ops.add_norm(x, h, w.post_attention_norm.data(), eps);  // x + RMSNorm(h) * w
  ops.begin_part();
  x = ops.add_norm(x, feed_forward(ops, c, w, eps, x), w.post_feedforward_norm.data(), eps);
  if (c.has_ple) x = ops.add_norm(x, per_layer_input(ops, w, x, ple), w.post_per_layer_input_norm.data(), eps);
  return w.layer_scalar != 1.0f ? ops.scale(x, w.layer_scalar) : x;  // of the whole residual stream
}

}  // namespace carat
