#include "backend/cpu/cpu_ops.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>

#include "base/error.h"

namespace carat {

std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options) {
  const kernels::KernelTable* table = options.fast_bf16 ? kernels::fast_bf16_table() : kernels::find_table(options.isa);
  if (!table && options.fast_bf16) {
    fail(ErrorCode::unsupported, "this CPU has no AVX-512 BF16, --fast-bf16, leave the option out: BF16 weights are then multiplied in f32");
  }
  if (!table) {
    std::string usable;
    const kernels::TableList list = kernels::available_tables();
    for (int i = 0; i < list.count; ++i) usable += std::string(usable.empty() ? "" : ", ") + list.tables[i]->name;
    fail(ErrorCode::invalid_argument, "isa '{}': this CPU has no such instruction set or Carat has no kernels for it; use one of {}", options.isa, usable);
  }
  return std::make_unique<CpuOps>(*table, options.num_threads > 0 ? options.num_threads : default_num_threads());
}

CpuOps::CpuOps(const kernels::KernelTable& table, int num_threads) : k_(table), name_(std::string("cpu/") + table.name), pool_(num_threads) {}

void CpuOps::begin(KvStore& kv) {
  kv_ = &kv;
  arena_.begin();
  forget_quantised();
  place_buffers_.release();
  weight_memory_.close();
}

void CpuOps::begin_part() {
  arena_.begin_part();
  forget_quantised();  // its address may be given out again
}

void CpuOps::end() { kv_ = nullptr; }

void CpuOps::rehearse(bool on) {
  rehearsing_ = on;
  arena_.release();
}

Tensor CpuOps::rms_norm(Tensor x, const float* weight, float eps, int64_t width) {
  Tensor out = empty(x.rows, x.cols);
  for_rows(x.size() / width, width, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) k_.rms_norm(x.data + i * width, weight, eps, width, out.data + i * width);
  });
  return out;
}

Tensor CpuOps::turn(Tensor x, const float* weight, float eps, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) {
  Tensor out = empty(x.rows, x.cols);
  RopeTable& table = ropes_.of(spec);
  const int64_t pairs = table.pairs();
  if (!rehearsing_) table.reserve(*std::max_element(positions.begin(), positions.end()) + 1);
  for_rows(x.rows, x.cols, [&](int64_t begin, int64_t end, int) {
    float cos[kernels::kMaxHeadDim / 2], sin[kernels::kMaxHeadDim / 2];
    for (int64_t r = begin; r < end; ++r) {
      table.angles(positions[static_cast<size_t>(r)], cos, sin);
      if (!weight) std::memcpy(out.row(r), x.row(r), static_cast<size_t>(x.cols) * sizeof(float));
      for (int64_t h = 0; h < x.cols; h += head_dim) {
        if (weight) k_.rms_norm(x.row(r) + h, weight, eps, head_dim, out.row(r) + h);
        k_.rope(out.row(r) + h, head_dim / 2, pairs, cos, sin);
      }
    }
  });
  return out;
}

Tensor CpuOps::rope(Tensor x, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) {
  return turn(x, nullptr, 0, spec, head_dim, positions);
}

Tensor CpuOps::head_norm_rope(Tensor x, const float* weight, float eps, const RopeSpec& spec, int64_t head_dim, std::span<const int32_t> positions) {
  return turn(x, weight, eps, spec, head_dim, positions);
}

void CpuOps::for_each(int64_t n, const std::function<void(int64_t i)>& fn) {
  parallel(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) fn(i);
  });
}

template <typename Fn>
void CpuOps::for_rows_that_may_fail(int64_t rows, int64_t floats, Fn&& fn) {
  std::mutex mutex;
  std::exception_ptr error;
  for_rows(rows, floats, [&](int64_t begin, int64_t end, int worker) {
    try {
      for (int64_t r = begin; r < end; ++r) fn(r, worker);
    } catch (...) {
      std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

Tensor CpuOps::make_rows(int64_t rows, int64_t cols, const std::function<void(int64_t, float*)>& fill) {
  Tensor out = empty(rows, cols);
  for_rows_that_may_fail(rows, cols * 4, [&](int64_t r, int) { fill(r, out.row(r)); });
  return out;
}

Tensor CpuOps::per_layer_inputs(Tensor projected, float by, const float* weight, float eps, int64_t width, const std::function<void(int64_t, float*)>& fill,
                                float s) {
  float* rows = arena_.array<float>(int64_t{pool_.num_threads()} * projected.cols);
  for_rows_that_may_fail(projected.rows, projected.cols * 4, [&](int64_t r, int worker) {
    float* to = projected.row(r);
    float* row = rows + worker * projected.cols;
    fill(r, row);
    k_.scale(to, by, projected.cols, to);
    for (int64_t i = 0; i < projected.cols; i += width) k_.rms_norm(to + i, weight, eps, width, to + i);
    k_.add(to, row, projected.cols, to);
    k_.scale(to, s, projected.cols, to);
  });
  return projected;
}

Tensor CpuOps::add(Tensor a, Tensor b) {
  Tensor out = empty(a.rows, a.cols);
  for_rows(a.rows, a.cols, [&](int64_t begin, int64_t end, int) { k_.add(a.row(begin), b.row(begin), (end - begin) * a.cols, out.row(begin)); });
  return out;
}

Tensor CpuOps::mul(Tensor a, Tensor b) {
  Tensor out = empty(a.rows, a.cols);
  for_rows(a.rows, a.cols, [&](int64_t begin, int64_t end, int) { k_.mul(a.row(begin), b.row(begin), (end - begin) * a.cols, out.row(begin)); });
  return out;
}

Tensor CpuOps::scale(Tensor x, float s) {
  Tensor out = empty(x.rows, x.cols);
  for_rows(x.rows, x.cols, [&](int64_t begin, int64_t end, int) { k_.scale(x.row(begin), s, (end - begin) * x.cols, out.row(begin)); });
  return out;
}

Tensor CpuOps::gelu_mul(Tensor gate, Tensor up) {
  Tensor out = empty(gate.rows, gate.cols);
  for_rows(gate.rows, gate.cols,
           [&](int64_t begin, int64_t end, int) { k_.gelu_mul(gate.row(begin), up.row(begin), (end - begin) * gate.cols, out.row(begin)); });
  return out;
}

Tensor CpuOps::add_norm(Tensor x, Tensor h, const float* weight, float eps) {
  Tensor out = empty(x.rows, x.cols);
  for_rows(x.rows, x.cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) k_.add_rms_norm(x.row(r), h.row(r), weight, eps, x.cols, out.row(r));
  });
  return out;
}

Tensor CpuOps::columns(Tensor x, int64_t begin, int64_t n) {
  Tensor out = empty(x.rows, n);
  for_rows(x.rows, n * 4, [&](int64_t first, int64_t last, int) {
    for (int64_t r = first; r < last; ++r) std::memcpy(out.row(r), x.row(r) + begin, static_cast<size_t>(n) * sizeof(float));
  });
  return out;
}

Tensor CpuOps::rows(Tensor x, std::span<const int32_t> rows) {
  Tensor out = empty(static_cast<int64_t>(rows.size()), x.cols);
  for_rows(out.rows, x.cols * 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) std::memcpy(out.row(i), x.row(rows[static_cast<size_t>(i)]), static_cast<size_t>(x.cols) * sizeof(float));
  });
  return out;
}

Tensor CpuOps::logits(Tensor x, const Linear& head, float cap) {
  Tensor out = linear(x, head);
  // By pieces of a row, not by rows: when decoding there is one of 262,144. Element by element, so the cut changes no bit.
  constexpr int64_t kPiece = 4096;
  if (cap > 0) {
    for_rows((out.size() + kPiece - 1) / kPiece, kPiece,
             [&](int64_t begin, int64_t end, int) { k_.softcap(out.data + begin * kPiece, cap, std::min(end * kPiece, out.size()) - begin * kPiece); });
  }
  return out;
}

}  // namespace carat
