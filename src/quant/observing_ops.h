#pragma once
// Another backend's verbs, with a look at what each matrix is multiplied with. Results are the other's, bit for bit; logits are not computed.
#include <functional>
#include <memory>
#include <utility>

#include "backend/ops.h"

namespace carat::quant {

class ObservingOps final : public Ops {
 public:
  explicit ObservingOps(std::unique_ptr<Ops> ops) : ops_(std::move(ops)) {}

  // Before x W^T of each matrix; and for each expert that rows were sent to: those rows as they meet gate_up, and down.
  std::function<void(const Linear& w, Tensor x)> on_linear;
  std::function<void(const ExpertStack& stack, int64_t expert, Tensor gate_up_input, Tensor down_input)> on_expert;

  const char* name() const override { return ops_->name(); }
  Linear place(const MatrixSource& source) override { return ops_->place(source); }
  std::unique_ptr<KvStore> make_kv_store(const KvLayout& layout, int32_t num_slots) override { return ops_->make_kv_store(layout, num_slots); }
  void begin(KvStore& kv) override { ops_->begin(kv); }
  void begin_layer() override { ops_->begin_layer(); }
  void begin_part() override { ops_->begin_part(); }
  void end() override { ops_->end(); }
  Tensor empty(int64_t rows, int64_t cols) override { return ops_->empty(rows, cols); }
  Tensor embed(const Linear& table, std::span<const int32_t> ids, float scale) override { return ops_->embed(table, ids, scale); }
  Tensor make_rows(int64_t rows, int64_t cols, const std::function<void(int64_t row, float* out)>& fill) override { return ops_->make_rows(rows, cols, fill); }
  Tensor linear(Tensor x, const Linear& w) override {
    if (on_linear) on_linear(w, x);
    return ops_->linear(x, w);
  }
  Tensor rms_norm(Tensor x, const float* weight, float eps, int64_t width) override { return ops_->rms_norm(x, weight, eps, width); }
  Tensor rope(Tensor x, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) override {
    return ops_->rope(x, spec, head_dim, positions);
  }
  Tensor add(Tensor a, Tensor b) override { return ops_->add(a, b); }
  Tensor mul(Tensor a, Tensor b) override { return ops_->mul(a, b); }
  Tensor scale(Tensor x, float s) override { return ops_->scale(x, s); }
  Tensor gelu_mul(Tensor gate, Tensor up) override { return ops_->gelu_mul(gate, up); }
  Tensor columns(Tensor x, int64_t begin, int64_t n) override { return ops_->columns(x, begin, n); }
  Tensor rows(Tensor x, std::span<const int32_t> rows) override { return ops_->rows(x, rows); }
  void kv_write(const AttentionSpec& spec, Tensor k, Tensor v, const Batch& batch) override { ops_->kv_write(spec, k, v, batch); }
  void kv_write_one(const AttentionSpec& spec, Tensor n, const Batch& batch) override { ops_->kv_write_one(spec, n, batch); }
  Tensor attention(Tensor q, const AttentionSpec& spec, const Batch& batch) override { return ops_->attention(q, spec, batch); }
  Routing route(Tensor logits, int64_t top_k) override { return ops_->route(logits, top_k); }
  Tensor experts(Tensor x, const ExpertStack& stack, const Routing& routing) override;
  Tensor add_norm(Tensor x, Tensor h, const float* weight, float eps) override { return ops_->add_norm(x, h, weight, eps); }
  Tensor head_norm_rope(Tensor x, const float* weight, float eps, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) override {
    return ops_->head_norm_rope(x, weight, eps, spec, head_dim, positions);
  }
  // gated_mlp() keeps its default body: it is made of linear(), which is watched.
  Tensor logits(Tensor x, const Linear&, float) override { return x; }

 private:
  std::unique_ptr<Ops> ops_;
};

}  // namespace carat::quant
