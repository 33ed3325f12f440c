#pragma once
// The verbs of a forward pass. The model is written once over these; a backend decides how and where each runs.
//
// Tensors are f32 views [T, cols] owned by the backend: a result lives until the part after the one that made it begins (two arenas take turns), results made
// before the first part live until end(). A verb never changes its inputs. A row's bits never depend on the other rows of a call.
#include <array>
#include <functional>
#include <memory>
#include <span>

#include "backend/batch.h"
#include "backend/kv_store.h"
#include "backend/specs.h"
#include "tensor/tensor.h"

namespace carat {

// Where place() takes a matrix's rows from: fill `out` with rows [row0, row0 + n), in file order (row_bytes(dtype, in) bytes each). Thread-safe.
struct MatrixSource {
  DType dtype = DType::f32;
  int64_t in = 0;
  int64_t out = 0;
  float scale = 1.0f;
  std::function<void(int64_t row0, int64_t n, std::byte* out)> read;
  // The matrix as panels of 16 outputs (tensor/pack.h) where a file holds it so: 64-byte aligned, read-only. Null: there is `read` only.
  std::shared_ptr<const std::byte> panels;
};

class Ops {
 public:
  virtual ~Ops() = default;
  virtual const char* name() const = 0;  // "cpu/avx512_vnni", "ref"

  // Copies a matrix into the backend's own layout, or keeps its panels where they are. Fails with unsupported or io.
  virtual Linear place(const MatrixSource& source) = 0;
  virtual std::unique_ptr<KvStore> make_kv_store(const KvLayout& layout, int32_t num_slots) { return std::make_unique<KvStore>(layout, num_slots); }

  // A step: begin, (begin_layer, verbs, (begin_part, verbs)*)*, end. A layer begins with a part.
  virtual void begin(KvStore& kv) = 0;
  virtual void begin_layer() { begin_part(); }
  virtual void begin_part() = 0;
  virtual void end() = 0;

  // For moments when nothing waits to be computed: a few milliseconds of work that make later steps faster and change no bit. False when none is left.
  virtual bool settle() { return false; }

  // A rehearsal: place() reads nothing and verbs allocate what they always do, but nothing is computed; no tensor may be looked at. It tells what a model and its
  // steps take before a byte of weights is read. Matrices placed meanwhile hold nothing; what was measured must be asked for before the end.
  virtual bool can_rehearse() const { return false; }
  virtual void rehearse(bool /*on*/) {}
  virtual bool rehearsing() const { return false; }
  // Work beside tensors, between steps: fn(i) once for every i in [0, n), perhaps on several threads at once. fn does not throw.
  virtual void for_each(int64_t n, const std::function<void(int64_t i)>& fn) {
    for (int64_t i = 0; i < n; ++i) fn(i);
  }
  // The most bytes that the results of a step took so far: the arenas' peaks, one beside the other.
  virtual uint64_t peak_step_bytes() const { return 0; }

  virtual Tensor empty(int64_t rows, int64_t cols) = 0;  // uninitialised
  // Rows of a table, times scale: [ids, table.in].
  virtual Tensor embed(const Linear& table, std::span<const int32_t> ids, float scale) = 0;
  // [rows, cols] from somewhere outside: fill(row, out) makes one row; a backend may call it from several threads at once. What it throws comes out of here.
  virtual Tensor make_rows(int64_t rows, int64_t cols, const std::function<void(int64_t row, float* out)>& fill) {
    Tensor out = empty(rows, cols);
    for (int64_t r = 0; r < rows; ++r) fill(r, out.row(r));
    return out;
  }
  virtual Tensor linear(Tensor x, const Linear& w) = 0;  // x W^T: [T, in] -> [T, out]
  // weight null: no multiply. cols of x may be a multiple of `width`: each part of that width is normalised by itself (heads, per-layer inputs).
  virtual Tensor rms_norm(Tensor x, const float* weight, float eps, int64_t width) = 0;
  virtual Tensor rope(Tensor x, const RopeSpec& rope, int64_t head_dim, std::span<const int32_t> positions) = 0;
  virtual Tensor add(Tensor a, Tensor b) = 0;
  virtual Tensor mul(Tensor a, Tensor b) = 0;
  virtual Tensor scale(Tensor x, float s) = 0;
  virtual Tensor gelu_mul(Tensor gate, Tensor up) = 0;               // gelu_tanh(gate) * up
  virtual Tensor columns(Tensor x, int64_t begin, int64_t n) = 0;    // a copy of some columns
  virtual Tensor rows(Tensor x, std::span<const int32_t> rows) = 0;  // a copy of some rows
  // k, v: [T, kv heads * head_dim] into the cache. A chunk's rows are all written before any is read.
  virtual void kv_write(const AttentionSpec& spec, Tensor k, Tensor v, const Batch& batch) = 0;
  virtual void kv_write_one(const AttentionSpec& spec, Tensor n, const Batch& batch) = 0;
  // q: [T, heads * head_dim] -> the same shape; everything is read from the cache.
  virtual Tensor attention(Tensor q, const AttentionSpec& spec, const Batch& batch) = 0;
  // softmax over all experts' logits, the top_k largest (ties to the lower expert), renormalised.
  virtual Routing route(Tensor logits, int64_t top_k) = 0;
  virtual Tensor experts(Tensor x, const ExpertStack& stack, const Routing& routing) = 0;

  // Coarse verbs: default bodies compose the fine ones; an override gives the same bits with fewer passes over memory.
  virtual Tensor add_norm(Tensor x, Tensor h, const float* weight, float eps) { return add(x, rms_norm(h, weight, eps, h.cols)); }
  // Several matrices times the same rows; one that is not there gives an empty tensor.
  virtual std::array<Tensor, 3> linears(Tensor x, const Linear& a, const Linear& b, const Linear& c) {
    return {a ? linear(x, a) : Tensor{}, b ? linear(x, b) : Tensor{}, c ? linear(x, c) : Tensor{}};
  }
  virtual Tensor gated_mlp(Tensor x, const GatedMlp& mlp) {
    const auto [gate, up, none] = linears(x, mlp.gate, mlp.up, {});
    return linear(gelu_mul(gate, up), mlp.down);
  }
  virtual Tensor head_norm_rope(Tensor x, const float* weight, float eps, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) {
    return rope(rms_norm(x, weight, eps, head_dim), spec, head_dim, positions);
  }
  // What each layer takes of the per-layer embeddings, [T, n * width]: RMSNorm(projected * by) * weight in parts of `width`, plus the rows that fill() makes, times s.
  // projected is used up: the result may take its place.
  virtual Tensor per_layer_inputs(Tensor projected, float by, const float* weight, float eps, int64_t width,
                                  const std::function<void(int64_t row, float* out)>& fill, float s) {
    const Tensor rows = make_rows(projected.rows, projected.cols, fill);
    return scale(add(rms_norm(scale(projected, by), weight, eps, width), rows), s);
  }
  // cap 0: none.
  virtual Tensor logits(Tensor x, const Linear& head, float cap) = 0;

  // Named values for tests and telemetry; null costs nothing.
  std::function<void(const char* name, int64_t layer, Tensor value)> tap;
};

struct CpuOptions {
  int num_threads = 0;     // 0: default_num_threads()
  const char* isa = "";    // "" = the best this CPU has
  bool fast_bf16 = false;  // kernels::fast_bf16_table() in its place
};
// Fails with invalid_argument for an unknown isa, naming those there are; with unsupported where the CPU has no dots of bf16 and they are asked for.
std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options);
std::unique_ptr<Ops> make_ref_ops();  // plain loops in f32, no SIMD, one thread: the oracle

}  // namespace carat
