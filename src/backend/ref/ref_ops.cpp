// The oracle: every verb as the plainest loop that says what it means, in f32, one thread. Weights stay rows of the file and are decoded as they are used.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "backend/ops.h"
#include "backend/rope_table.h"
#include "backend/routing.h"
#include "backend/step_arena.h"
#include "base/error.h"
#include "tensor/dequantise.h"

namespace carat {
namespace {

float gelu_tanh(float x) { return 0.5f * x * (1.0f + std::tanh(0.7978845608028654f * (x + 0.044715f * x * x * x))); }

// Eight partial sums: plain, and quick enough to run real models through.
float dot(const float* a, const float* b, int64_t n) {
  float s[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) s[j] += a[i + j] * b[i + j];
  for (; i < n; ++i) s[0] += a[i] * b[i];
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

class RefOps final : public Ops {
 public:
  const char* name() const override { return "ref"; }

  Linear place(const MatrixSource& source) override {
    Linear w;
    w.dtype = source.dtype, w.in = source.in, w.out = source.out, w.scale = source.scale;
    w.bytes = static_cast<uint64_t>(row_bytes(source.dtype, source.in)) * static_cast<uint64_t>(source.out);
    auto* p = static_cast<std::byte*>(::operator new(w.bytes, std::align_val_t{64}, std::nothrow));
    if (!p) fail(ErrorCode::exhausted, "weights: {} bytes cannot be had", w.bytes);
    w.data = {p, [](const std::byte* q) { ::operator delete(const_cast<std::byte*>(q), std::align_val_t{64}); }};
    source.read(0, source.out, p);
    return w;
  }

  void begin(KvStore& kv) override { kv_ = &kv, arena_.begin(); }
  void begin_part() override { arena_.begin_part(); }
  void end() override { kv_ = nullptr; }
  Tensor empty(int64_t rows, int64_t cols) override { return arena_.tensor(rows, cols); }

  Tensor embed(const Linear& table, std::span<const int32_t> ids, float s) override {
    Tensor out = empty(static_cast<int64_t>(ids.size()), table.in);
    for (int64_t r = 0; r < out.rows; ++r) {
      weight_row(table, ids[static_cast<size_t>(r)], out.row(r));
      for (int64_t i = 0; i < out.cols; ++i) out.row(r)[i] *= s;
    }
    return out;
  }

  Tensor linear(Tensor x, const Linear& w) override {
    check(x.cols == w.in, "a linear's input is as wide as its matrix");
    Tensor out = empty(x.rows, w.out);
    std::vector<float> row(static_cast<size_t>(w.in));
    for (int64_t o = 0; o < w.out; ++o) {
      weight_row(w, o, row.data());
      for (int64_t r = 0; r < x.rows; ++r) out.row(r)[o] = dot(x.row(r), row.data(), w.in);
    }
    return out;
  }

  Tensor rms_norm(Tensor x, const float* weight, float eps, int64_t width) override {
    Tensor out = empty(x.rows, x.cols);
    for (int64_t i = 0; i < x.size(); i += width) {
      double sum = 0;
      for (int64_t j = 0; j < width; ++j) sum += double{x.data[i + j]} * x.data[i + j];
      const float inverse = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(width) + eps));
      for (int64_t j = 0; j < width; ++j) out.data[i + j] = x.data[i + j] * inverse * (weight ? weight[j] : 1.0f);
    }
    return out;
  }

  Tensor rope(Tensor x, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) override {
    Tensor out = empty(x.rows, x.cols);
    std::memcpy(out.data, x.data, static_cast<size_t>(x.size()) * sizeof(float));
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t h = 0; h < x.cols; h += head_dim) turn(out.row(r) + h, spec, head_dim, positions[static_cast<size_t>(r)]);
    return out;
  }

  Tensor add(Tensor a, Tensor b) override {
    Tensor out = empty(a.rows, a.cols);
    for (int64_t i = 0; i < a.size(); ++i) out.data[i] = a.data[i] + b.data[i];
    return out;
  }
  Tensor mul(Tensor a, Tensor b) override {
    Tensor out = empty(a.rows, a.cols);
    for (int64_t i = 0; i < a.size(); ++i) out.data[i] = a.data[i] * b.data[i];
    return out;
  }
  Tensor scale(Tensor x, float s) override {
    Tensor out = empty(x.rows, x.cols);
    for (int64_t i = 0; i < x.size(); ++i) out.data[i] = x.data[i] * s;
    return out;
  }
  Tensor gelu_mul(Tensor gate, Tensor up) override {
    Tensor out = empty(gate.rows, gate.cols);
    for (int64_t i = 0; i < gate.size(); ++i) out.data[i] = gelu_tanh(gate.data[i]) * up.data[i];
    return out;
  }
  Tensor columns(Tensor x, int64_t begin, int64_t n) override {
    Tensor out = empty(x.rows, n);
    for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r) + begin, n, out.row(r));
    return out;
  }
  Tensor rows(Tensor x, std::span<const int32_t> rows) override {
    Tensor out = empty(static_cast<int64_t>(rows.size()), x.cols);
    for (size_t i = 0; i < rows.size(); ++i) std::copy_n(x.row(rows[i]), x.cols, out.row(static_cast<int64_t>(i)));
    return out;
  }

  void kv_write(const AttentionSpec& spec, Tensor k, Tensor v, const Batch& batch) override {
    each_position(spec, batch, [&](const KvStore::Tiles& t, int64_t row, int32_t head, int32_t slot) {
      put(t.k, 32, 1, slot, k.row(row) + head * spec.head_dim, spec.head_dim);
      put(t.v, 1, spec.head_dim, slot, v.row(row) + head * spec.head_dim, spec.head_dim);
    });
  }
  void kv_write_one(const AttentionSpec& spec, Tensor n, const Batch& batch) override {
    each_position(spec, batch, [&](const KvStore::Tiles& t, int64_t row, int32_t head, int32_t slot) {
      put(t.k, 32, 1, slot, n.row(row) + head * spec.head_dim, spec.head_dim);
    });
  }

  Tensor attention(Tensor q, const AttentionSpec& spec, const Batch& batch) override {
    Tensor out = empty(q.rows, q.cols);
    const int32_t group = spec.num_attention_heads / spec.num_key_value_heads;
    const int64_t dim = spec.head_dim;
    std::vector<float> k(static_cast<size_t>(dim)), scores, values;
    for (const BatchSpan& span : batch.spans)
      for (int32_t kv_head = 0; kv_head < spec.num_key_value_heads; ++kv_head) {
        const int32_t end = span.position0 + span.rows;
        const int32_t begin = spec.sliding_window > 0 ? std::max(0, span.position0 - spec.sliding_window + 1) : 0;
        std::vector<float> keys(static_cast<size_t>((end - begin) * dim));
        values.assign(keys.size(), 0);
        for (int32_t p = begin; p < end; ++p)
          read(spec, span, p, kv_head, &keys[static_cast<size_t>((p - begin) * dim)], &values[static_cast<size_t>((p - begin) * dim)]);
        for (int32_t r = 0; r < span.rows; ++r) {
          const int32_t hi = span.position0 + r + 1;
          const int32_t lo = spec.sliding_window > 0 ? std::max(0, hi - spec.sliding_window) : 0;
          for (int32_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
            const float* query = q.row(span.row0 + r) + h * dim;
            float* o = out.row(span.row0 + r) + h * dim;
            scores.resize(static_cast<size_t>(hi - lo));
            float largest = -std::numeric_limits<float>::infinity();
            for (int32_t p = lo; p < hi; ++p) {
              const float s = dot(query, &keys[static_cast<size_t>((p - begin) * dim)], dim) * spec.scale;
              scores[static_cast<size_t>(p - lo)] = s;
              largest = std::max(largest, s);
            }
            double sum = 0;
            for (float& s : scores) s = std::exp(s - largest), sum += s;
            std::fill_n(o, dim, 0.0f);
            for (int32_t p = lo; p < hi; ++p) {
              const float w = static_cast<float>(scores[static_cast<size_t>(p - lo)] / sum);
              for (int64_t d = 0; d < dim; ++d) o[d] += w * values[static_cast<size_t>((p - begin) * dim + d)];
            }
          }
        }
      }
    return out;
  }

  Routing route(Tensor logits, int64_t top_k) override {
    auto* experts = arena_.array<int32_t>(logits.rows * top_k);
    auto* weights = arena_.array<float>(logits.rows * top_k);
    std::vector<float> p(static_cast<size_t>(logits.cols));
    for (int64_t r = 0; r < logits.rows; ++r) {
      const float largest = *std::max_element(logits.row(r), logits.row(r) + logits.cols);
      double sum = 0;
      for (int64_t e = 0; e < logits.cols; ++e) p[static_cast<size_t>(e)] = std::exp(logits.row(r)[e] - largest), sum += p[static_cast<size_t>(e)];
      for (float& v : p) v = static_cast<float>(v / sum);
      choose_experts(p.data(), logits.cols, top_k, experts + r * top_k, weights + r * top_k);
    }
    return {experts, weights, logits.rows, top_k};
  }

  Tensor experts(Tensor x, const ExpertStack& stack, const Routing& routing) override {
    Tensor out = empty(x.rows, stack.experts[0].down.out);
    std::fill_n(out.data, out.size(), 0.0f);
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t i = 0; i < routing.top_k; ++i) {
        const int32_t e = routing.experts[r * routing.top_k + i];
        const Expert& expert = stack.experts[static_cast<size_t>(e)];
        Tensor gu = linear({x.row(r), 1, x.cols}, expert.gate_up);
        Tensor y = linear(gelu_mul({gu.data, 1, gu.cols / 2}, {gu.data + gu.cols / 2, 1, gu.cols / 2}), expert.down);
        const float w = routing.weights[r * routing.top_k + i] * stack.scale[static_cast<size_t>(e)];
        for (int64_t d = 0; d < y.cols; ++d) out.row(r)[d] += w * y.data[d];
      }
    return out;
  }

  Tensor logits(Tensor x, const Linear& head, float cap) override {
    Tensor out = linear(x, head);
    if (cap > 0)
      for (int64_t i = 0; i < out.size(); ++i) out.data[i] = cap * std::tanh(out.data[i] / cap);
    return out;
  }

 private:
  static void weight_row(const Linear& w, int64_t row, float* out) {
    const int64_t bytes = row_bytes(w.dtype, w.in);
    dequantise(w.dtype, w.data.get() + row * bytes, out, w.in);
    if (w.scale != 1.0f)
      for (int64_t i = 0; i < w.in; ++i) out[i] *= w.scale;
  }

  void turn(float* head, const RopeSpec& spec, int64_t head_dim, int32_t position) {
    const int64_t half = head_dim / 2;
    for (size_t i = 0; i < spec.freqs.size(); ++i) {
      const double angle = double{spec.freqs[i]} * position;
      const float c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
      float& a = head[i];
      float& b = head[static_cast<size_t>(half) + i];
      const float x = a * c - b * s;
      b = b * c + a * s;
      a = x;
    }
  }

  template <typename Fn>
  void each_position(const AttentionSpec& spec, const Batch& batch, Fn&& fn) {
    for (const BatchSpan& span : batch.spans)
      for (int32_t r = 0; r < span.rows; ++r)
        for (int32_t h = 0; h < spec.num_key_value_heads; ++h) {
          const int32_t position = span.position0 + r;
          fn(kv_->tiles(spec.kv.group, spec.kv.layer, span.tables[spec.kv.group], position, h), span.row0 + r, h, position % 32);
        }
  }
  // One position (slot) of a tile whose element (dim, slot) is at dim * dim_stride + slot * slot_stride. In q8 the scales come behind, in the same order.
  void put(std::byte* tile, int64_t dim_stride, int64_t slot_stride, int64_t slot, const float* x, int64_t dim) const {
    for (int64_t d = 0; d < dim; ++d) {
      const int64_t i = d * dim_stride + slot * slot_stride;
      if (kv_->layout().dtype == DType::f32) reinterpret_cast<float*>(tile)[i] = x[d];
      if (kv_->layout().dtype == DType::f16) reinterpret_cast<uint16_t*>(tile)[i] = f32_to_f16(x[d]);
      if (kv_->layout().dtype != DType::q8_0) continue;
      float largest = 0;
      for (int64_t j = d / 32 * 32; j < d / 32 * 32 + 32; ++j) largest = std::max(largest, std::abs(x[j]));
      const float scale = largest / 127.0f;
      reinterpret_cast<int8_t*>(tile)[i] = static_cast<int8_t>(scale > 0 ? std::nearbyint(x[d] * (127.0f / largest)) : 0);
      std::memcpy(tile + dim * 32 + scale_index(d, slot, dim, dim_stride) * 4, &scale, 4);
    }
  }
  float get(const std::byte* tile, int64_t dim_stride, int64_t slot_stride, int64_t slot, int64_t d, int64_t dim) const {
    const int64_t i = d * dim_stride + slot * slot_stride;
    if (kv_->layout().dtype == DType::f32) return reinterpret_cast<const float*>(tile)[i];
    if (kv_->layout().dtype == DType::f16) return f16_to_f32(reinterpret_cast<const uint16_t*>(tile)[i]);
    float scale;
    std::memcpy(&scale, tile + dim * 32 + scale_index(d, slot, dim, dim_stride) * 4, 4);
    return scale * static_cast<float>(reinterpret_cast<const int8_t*>(tile)[i]);
  }
  static int64_t scale_index(int64_t d, int64_t slot, int64_t dim, int64_t dim_stride) {
    return dim_stride == 32 ? d / 32 * 32 + slot : slot * (dim / 32) + d / 32;
  }
  void read(const AttentionSpec& spec, const BatchSpan& span, int32_t position, int32_t head, float* k, float* v) {
    const KvStore::Tiles t = kv_->tiles(spec.kv.group, spec.kv.layer, span.tables[spec.kv.group], position, head);
    const int64_t slot = position % 32;
    for (int64_t d = 0; d < spec.head_dim; ++d) {
      k[d] = get(t.k, 32, 1, slot, d, spec.head_dim);
      v[d] = spec.one_tensor ? k[d] : get(t.v, 1, spec.head_dim, slot, d, spec.head_dim);
    }
    if (!spec.one_tensor) return;
    for (int64_t d = 0; d < spec.head_dim; ++d) k[d] *= spec.one_tensor_k_norm[d];
    turn(k, *spec.one_tensor_rope, spec.head_dim, position);
  }

  KvStore* kv_ = nullptr;
  StepArena arena_;
};

}  // namespace

std::unique_ptr<Ops> make_ref_ops() { return std::make_unique<RefOps>(); }

}  // namespace carat
