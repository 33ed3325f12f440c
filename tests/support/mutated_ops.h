#pragma once
// Another backend's verbs, some of them done wrong on purpose. Without hooks it gives the other's bits.
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "backend/ops.h"

namespace carat::test {

class MutatedOps final : public Ops {
 public:
  explicit MutatedOps(std::unique_ptr<Ops> right) : right_(std::move(right)) {}

  // Each hook stands in for one call of the forward pass; `ops` is the backend that does it right.
  using Norm = std::function<Tensor(Ops& ops, Tensor x, const float* weight, float eps, int64_t width)>;
  std::map<const float*, Norm> norms;                                      // by weight; null: the norm that has none (of values)
  std::function<float(float)> mlp_activation;                              // of the dense feed-forward only
  std::function<Tensor(Ops& ops, Tensor gate, Tensor up)> ple_gate;        // per-layer inputs: gelu(gate) * input
  std::function<Tensor(Ops& ops, Tensor context, Tensor tokens)> ple_sum;  // per-layer inputs: context + tokens, before 1/sqrt(2)
  std::function<Tensor(Ops& ops, Tensor q, const AttentionSpec& spec, const Batch& batch)> attend;
  std::function<Routing(Ops& ops, Tensor logits, int64_t top_k)> choose;

  int64_t layer() const { return layer_; }  // the one being run, -1 before the first

  const char* name() const override { return "mutated"; }
  Linear place(const MatrixSource& source) override { return right_->place(source); }
  std::unique_ptr<KvStore> make_kv_store(const KvLayout& layout, int32_t num_slots) override { return right_->make_kv_store(layout, num_slots); }
  void begin(KvStore& kv) override { layer_ = -1, right_->begin(kv); }
  void begin_layer() override { ++layer_, right_->begin_layer(); }
  void begin_part() override { right_->begin_part(); }
  void end() override { right_->end(); }
  Tensor empty(int64_t rows, int64_t cols) override { return right_->empty(rows, cols); }
  Tensor embed(const Linear& table, std::span<const int32_t> ids, float scale) override { return right_->embed(table, ids, scale); }
  Tensor linear(Tensor x, const Linear& w) override { return right_->linear(x, w); }
  Tensor rms_norm(Tensor x, const float* weight, float eps, int64_t width) override {
    const auto hook = norms.find(weight);
    return hook != norms.end() ? hook->second(*right_, x, weight, eps, width) : right_->rms_norm(x, weight, eps, width);
  }
  Tensor rope(Tensor x, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) override {
    return right_->rope(x, spec, head_dim, positions);
  }
  Tensor add(Tensor a, Tensor b) override { return ple_sum && layer_ < 0 ? ple_sum(*right_, a, b) : right_->add(a, b); }
  Tensor mul(Tensor a, Tensor b) override { return right_->mul(a, b); }
  Tensor scale(Tensor x, float s) override { return right_->scale(x, s); }
  Tensor gelu_mul(Tensor gate, Tensor up) override { return ple_gate ? ple_gate(*right_, gate, up) : right_->gelu_mul(gate, up); }
  Tensor columns(Tensor x, int64_t begin, int64_t n) override { return right_->columns(x, begin, n); }
  Tensor rows(Tensor x, std::span<const int32_t> rows) override { return right_->rows(x, rows); }
  void kv_write(const AttentionSpec& spec, Tensor k, Tensor v, const Batch& batch) override { right_->kv_write(spec, k, v, batch); }
  void kv_write_one(const AttentionSpec& spec, Tensor n, const Batch& batch) override { right_->kv_write_one(spec, n, batch); }
  Tensor attention(Tensor q, const AttentionSpec& spec, const Batch& batch) override {
    return attend ? attend(*right_, q, spec, batch) : right_->attention(q, spec, batch);
  }
  Routing route(Tensor logits, int64_t top_k) override { return choose ? choose(*right_, logits, top_k) : right_->route(logits, top_k); }
  Tensor experts(Tensor x, const ExpertStack& stack, const Routing& routing) override { return right_->experts(x, stack, routing); }
  Tensor logits(Tensor x, const Linear& head, float cap) override { return right_->logits(x, head, cap); }
  // The other coarse verbs keep their default bodies, which call the fine verbs above.
  Tensor gated_mlp(Tensor x, const GatedMlp& mlp) override {
    Tensor gate = right_->linear(x, mlp.gate), up = right_->linear(x, mlp.up);
    if (!mlp_activation) return right_->linear(right_->gelu_mul(gate, up), mlp.down);
    Tensor active = right_->empty(gate.rows, gate.cols);
    for (int64_t i = 0; i < gate.size(); ++i) active.data[i] = mlp_activation(gate.data[i]);
    return right_->linear(right_->mul(active, up), mlp.down);
  }

 private:
  std::unique_ptr<Ops> right_;
  int64_t layer_ = -1;
};

}  // namespace carat::test
