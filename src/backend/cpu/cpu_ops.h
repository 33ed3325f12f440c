#pragma once
// Ops on the CPU: the kernels of one instruction set times a thread pool.
#include <vector>

#include "backend/cpu/weight_memory.h"
#include "backend/ops.h"
#include "backend/rope_table.h"
#include "backend/step_arena.h"
#include "base/pages.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace carat {

class CpuOps final : public Ops {
 public:
  CpuOps(const kernels::KernelTable& table, int num_threads);
  const char* name() const override { return name_.c_str(); }

  Linear place(const MatrixSource& source) override;  // cpu_linear.cpp
  void begin(KvStore& kv) override;
  void begin_part() override;
  void end() override;
  bool settle() override { return weight_memory_.settle(); }
  bool can_rehearse() const override { return true; }
  void rehearse(bool on) override;
  bool rehearsing() const override { return rehearsing_; }
  uint64_t peak_step_bytes() const override { return arena_.peak(); }

  Tensor empty(int64_t rows, int64_t cols) override { return arena_.tensor(rows, cols); }
  Tensor embed(const Linear& table, std::span<const int32_t> ids, float scale) override;  // cpu_linear.cpp
  void for_each(int64_t n, const std::function<void(int64_t i)>& fn) override;
  Tensor make_rows(int64_t rows, int64_t cols, const std::function<void(int64_t, float*)>& fill) override;
  Tensor linear(Tensor x, const Linear& w) override;  // cpu_linear.cpp
  std::array<Tensor, 3> linears(Tensor x, const Linear& a, const Linear& b, const Linear& c) override;
  Tensor gated_mlp(Tensor x, const GatedMlp& mlp) override;
  Tensor rms_norm(Tensor x, const float* weight, float eps, int64_t width) override;
  Tensor rope(Tensor x, const RopeSpec& rope, int64_t head_dim, std::span<const int32_t> positions) override;
  Tensor add(Tensor a, Tensor b) override;
  Tensor mul(Tensor a, Tensor b) override;
  Tensor scale(Tensor x, float s) override;
  Tensor gelu_mul(Tensor gate, Tensor up) override;
  Tensor columns(Tensor x, int64_t begin, int64_t n) override;
  Tensor rows(Tensor x, std::span<const int32_t> rows) override;
  void kv_write(const AttentionSpec& spec, Tensor k, Tensor v, const Batch& batch) override;  // cpu_attention.cpp
  void kv_write_one(const AttentionSpec& spec, Tensor n, const Batch& batch) override;
  Tensor attention(Tensor q, const AttentionSpec& spec, const Batch& batch) override;
  Routing route(Tensor logits, int64_t top_k) override;  // cpu_experts.cpp
  Tensor experts(Tensor x, const ExpertStack& stack, const Routing& routing) override;
  Tensor add_norm(Tensor x, Tensor h, const float* weight, float eps) override;
  Tensor head_norm_rope(Tensor x, const float* weight, float eps, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) override;
  Tensor per_layer_inputs(Tensor projected, float by, const float* weight, float eps, int64_t width, const std::function<void(int64_t, float*)>& fill,
                          float s) override;
  Tensor logits(Tensor x, const Linear& head, float cap) override;

 private:
  // All work on tensors goes through these two: in a rehearsal nothing is done.
  template <typename Fn>
  void parallel(int64_t n, int64_t grain, Fn&& fn) {
    if (!rehearsing_) pool_.parallel_for(n, grain, std::forward<Fn>(fn));
  }
  // Runs fn(begin, end) over rows; small work stays on this thread. floats: how much one row touches.
  template <typename Fn>
  void for_rows(int64_t rows, int64_t floats, Fn&& fn) {
    constexpr int64_t kWorth = 16384;  // floats that repay waking a thread
    if (rehearsing_) return;
    if (rows * floats < 2 * kWorth) return fn(int64_t{0}, rows, 0);
    pool_.parallel_for(rows, std::max<int64_t>(1, kWorth / floats), std::forward<Fn>(fn));
  }
  // rope() of x, or of its heads normalised where weight is given.
  Tensor turn(Tensor x, const float* weight, float eps, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions);
  // fn(row, worker) for all rows on all threads; what it throws comes out of here.
  template <typename Fn>
  void for_rows_that_may_fail(int64_t rows, int64_t floats, Fn&& fn);
  // Rounded rows and where they are written.
  struct RowsToFill {
    kernels::QuantRows rows;
    kernels::TileRows at{};
    bool superblock = false;
  };
  RowsToFill room_for_quantised(int64_t rows, int64_t k, DType of);
  void quantise_part(const RowsToFill& to, const float* x, int64_t row, int64_t column, int64_t n) const;  // n elements of a row, whole tiles or groups
  kernels::QuantRows quantise(Tensor x, DType of);  // into the arena, in the form that matrices of type `of` take
  // Row s / top_k of `from` at place[s], for all slots s.
  kernels::QuantRows gather(const kernels::QuantRows& from, const int64_t* place, int64_t slots, int64_t top_k);  // cpu_experts.cpp
  const kernels::QuantRows& quantised(Tensor x, DType of);  // the last input's is remembered, in each form
  void forget_quantised();
  void matmul(const Linear& w, Tensor x, const kernels::QuantRows* rows, int64_t panel_begin, int64_t panel_end, Tensor out, int64_t column0 = 0) const;
  void matmul_parallel(std::span<const Linear* const> matrices, Tensor x, std::span<const Tensor> outs);
  void store(const AttentionSpec& spec, Tensor k, const Tensor* v, const Batch& batch);

  const kernels::KernelTable& k_;
  std::string name_;
  ThreadPool pool_;
  StepArena arena_;
  RopeTables ropes_;
  bool rehearsing_ = false;
  WeightMemory weight_memory_;
  PageBuffer place_buffers_;  // of place(), until the first step
  KvStore* kv_ = nullptr;
  struct Quantised {
    const float* of = nullptr;
    kernels::QuantRows rows;
  };
  Quantised quantised_[2];
};

}  // namespace carat
