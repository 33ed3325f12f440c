// Matrices on the CPU: panels of 16 outputs; rows of activations as int8 where the matrix is quantised.
#include <algorithm>
#include <exception>
#include <mutex>
#include <new>

#include "backend/cpu/cpu_ops.h"
#include "base/error.h"
#include "kernels/pack.h"

namespace carat {
namespace {

using kernels::kLanes;

constexpr int64_t kPlaceBuffers = int64_t{8} << 20;  // of all threads while a matrix is placed: less than the steps that come later take

int64_t panels_of(int64_t out) { return (out + kLanes - 1) / kLanes; }

std::shared_ptr<const std::byte> make_buffer(uint64_t bytes) {
  auto* p = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{64}, std::nothrow));
  if (!p) fail(ErrorCode::exhausted, "weights: {} bytes cannot be had; use a smaller model or quantisation", bytes);
  return {p, [](const std::byte* q) { ::operator delete(const_cast<std::byte*>(q), std::align_val_t{64}); }};
}

}  // namespace

Linear CpuOps::place(const MatrixSource& source) {
  if (!kernels::packable(source.dtype)) fail(ErrorCode::unsupported, "a matrix of type {} cannot be multiplied", info(source.dtype).name);
  const int64_t panels = panels_of(source.out);
  const int64_t panel_bytes = kernels::panel_bytes(source.dtype, source.in);
  const int64_t bytes_per_row = row_bytes(source.dtype, source.in);
  Linear w;
  w.dtype = source.dtype, w.in = source.in, w.out = source.out, w.scale = source.scale;
  w.bytes = static_cast<uint64_t>(panels) * static_cast<uint64_t>(panel_bytes);
  if (rehearsing_) {
    static const std::byte kNothing{};
    w.data = {std::shared_ptr<const std::byte>(), &kNothing};
    return w;
  }
  w.data = make_buffer(w.bytes);
  auto* data = const_cast<std::byte*>(w.data.get());

  // A share of rows at a time through a small buffer for each worker: the file's pages are never mapped, so the peak is the panels plus this. The buffers serve
  // one matrix after the other and are given back before the first step: what a thread takes from malloc, malloc keeps for that thread.
  const int64_t share = (panels + 2 * pool_.num_threads() - 1) / (2 * pool_.num_threads());
  const int64_t grain = std::clamp<int64_t>(std::min<int64_t>(1 << 20, kPlaceBuffers / pool_.num_threads()) / (bytes_per_row * kLanes), 1, share);
  const auto buffer_bytes = static_cast<size_t>(grain * kLanes * bytes_per_row);
  std::byte* const buffers = place_buffers_.reserve(buffer_bytes * static_cast<size_t>(pool_.num_threads()));
  std::mutex mutex;
  std::exception_ptr error;
  pool_.parallel_for(panels, grain, [&](int64_t begin, int64_t end, int worker) {
    try {
      const int64_t first = begin * kLanes;
      const int64_t n = std::min(end * kLanes, source.out) - first;
      std::byte* rows = buffers + static_cast<size_t>(worker) * buffer_bytes;
      source.read(first, n, rows);
      for (int64_t p = begin; p < end; ++p) {
        const std::byte* lanes[kLanes] = {};
        for (int64_t i = 0; i < kLanes && p * kLanes + i < source.out; ++i) lanes[i] = rows + (p * kLanes + i - first) * bytes_per_row;
        kernels::pack_panel(source.dtype, lanes, source.in, data + p * panel_bytes);
      }
    } catch (...) {
      std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
  return w;
}

Tensor CpuOps::embed(const Linear& table, std::span<const int32_t> ids, float scale) {
  Tensor out = empty(static_cast<int64_t>(ids.size()), table.in);
  const int64_t panel_bytes = kernels::panel_bytes(table.dtype, table.in);
  for_rows(out.rows, out.cols * 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const int32_t id = ids[static_cast<size_t>(r)];
      kernels::unpack_row(table.dtype, table.data.get() + id / kLanes * panel_bytes, id % kLanes, table.in, out.row(r));
      k_.scale(out.row(r), scale * table.scale, out.cols, out.row(r));
    }
  });
  return out;
}

kernels::QuantRows CpuOps::quantise(Tensor x, DType of) {
  const bool super = kernels::is_superblock(of);
  kernels::QuantRows rows;
  rows.rows = x.rows, rows.k = x.cols;
  auto* q = arena_.array<int8_t>(x.size());
  auto* sum16 = arena_.array<int32_t>(x.size() / 16);
  auto* scale = arena_.array<float>(x.size() / (super ? kernels::kTileK : kernels::kGroup));
  rows.q = q, rows.scale = scale, rows.sum16 = sum16;
  if (super) {
    auto* factor = arena_.array<uint8_t>(x.size() / kernels::kGroup);
    auto* pair16 = arena_.array<int32_t>(x.size() / kernels::kGroup);
    auto* pair32 = arena_.array<int32_t>(x.size() / (2 * kernels::kGroup));
    rows.factor = factor, rows.pair16 = pair16, rows.pair32 = pair32;
    for_rows(x.rows, x.cols, [&](int64_t begin, int64_t end, int) {
      const int64_t at = begin * x.cols, group = at / kernels::kGroup;
      k_.quantise_tiles(x.row(begin), x.cols, end - begin, x.cols,
                        {q + at, scale + at / kernels::kTileK, sum16 + at / 16, factor + group, pair16 + group, pair32 + group / 2});
    });
  } else {
    for_rows(x.rows, x.cols, [&](int64_t begin, int64_t end, int) {
      const int64_t at = begin * x.cols;
      k_.quantise_rows(x.row(begin), x.cols, end - begin, x.cols, q + at, scale + at / kernels::kGroup, sum16 + at / 16);
    });
  }
  return rows;
}

const kernels::QuantRows& CpuOps::quantised(Tensor x, DType of) {
  Quantised& known = quantised_[kernels::is_superblock(of) ? 1 : 0];
  if (known.of != x.data || known.rows.rows != x.rows || known.rows.k != x.cols) {
    known.rows = quantise(x, of);
    known.of = x.data;
  }
  return known.rows;
}

void CpuOps::forget_quantised() {
  for (Quantised& q : quantised_) q.of = nullptr;
}

void CpuOps::matmul(const Linear& w, Tensor x, const kernels::QuantRows* rows, int64_t panel_begin, int64_t panel_end, Tensor out) const {
  if (is_quantised(w.dtype)) {
    kernels::QuantMatmul a;
    a.dtype = w.dtype, a.panels = w.data.get(), a.n = w.out, a.panel_begin = panel_begin, a.panel_end = panel_end;
    a.x = *rows, a.w_scale = w.scale, a.out = out.data, a.ldo = out.cols;
    k_.matmul_quant(a);
  } else {
    kernels::DenseMatmul a;
    a.dtype = w.dtype, a.panels = w.data.get(), a.n = w.out, a.panel_begin = panel_begin, a.panel_end = panel_end;
    a.x = x.data, a.ldx = x.cols, a.rows = x.rows, a.k = x.cols, a.out = out.data, a.ldo = out.cols;
    k_.matmul_dense(a);
  }
}

void CpuOps::matmul_parallel(const Linear& w, Tensor x, Tensor out) {
  const kernels::QuantRows* rows = is_quantised(w.dtype) ? &quantised(x, w.dtype) : nullptr;
  const int64_t panels = panels_of(w.out);
  // Enough pieces that a thread which was interrupted does not hold up the others, each at least 64 KiB of weights.
  const int64_t panel_bytes = kernels::panel_bytes(w.dtype, w.in);
  const int64_t pieces = int64_t{pool_.num_threads()} * 4;
  const int64_t grain = std::max((panels + pieces - 1) / pieces, x.rows >= 8 ? 1 : (int64_t{65536} + panel_bytes - 1) / panel_bytes);
  parallel(panels, grain, [&](int64_t begin, int64_t end, int) { matmul(w, x, rows, begin, end, out); });
}

Tensor CpuOps::linear(Tensor x, const Linear& w) {
  check(x.cols == w.in, "a linear's input is as wide as its matrix");
  Tensor out = empty(x.rows, w.out);
  if (x.rows > 0) matmul_parallel(w, x, out);
  return out;
}

}  // namespace carat
