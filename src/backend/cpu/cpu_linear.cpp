// Matrices on the CPU: panels of 16 outputs; rows of activations as int8 where the matrix is quantised.
#include <algorithm>
#include <exception>
#include <mutex>
#include <new>

#include "backend/cpu/cpu_ops.h"
#include "base/error.h"
#include "tensor/pack.h"

namespace carat {
namespace {

constexpr int64_t kPlaceBuffers = int64_t{8} << 20;  // of all threads while a matrix is placed: less than the steps that come later take

}  // namespace

Linear CpuOps::place(const MatrixSource& source) {
  if (!packable(source.dtype)) fail(ErrorCode::unsupported, "a matrix of type {} cannot be multiplied", info(source.dtype).name);
  const int64_t panels = panels_of(source.out);
  const int64_t bytes_per_panel = panel_bytes(source.dtype, source.in);
  const int64_t bytes_per_row = row_bytes(source.dtype, source.in);
  Linear w;
  w.dtype = source.dtype, w.in = source.in, w.out = source.out, w.scale = source.scale;
  w.bytes = static_cast<uint64_t>(panels) * static_cast<uint64_t>(bytes_per_panel);
  if (source.panels) {
    w.data = source.panels, w.mapped = true;
    return w;
  }
  if (rehearsing_) {
    static const std::byte kNothing{};
    w.data = {std::shared_ptr<const std::byte>(), &kNothing};
    return w;
  }
  std::byte* data = nullptr;
  try {
    std::shared_ptr<std::byte> memory = weight_memory_.take(w.bytes);
    data = memory.get();
    w.data = std::move(memory);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::exhausted, "weights: {} bytes cannot be had; use a smaller model or quantisation", w.bytes);
  }

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
      pack_rows(source.dtype, rows, n, source.in, data + begin * bytes_per_panel);
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
  const int64_t bytes_per_panel = panel_bytes(table.dtype, table.in);
  for_rows(out.rows, out.cols * 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const int32_t id = ids[static_cast<size_t>(r)];
      unpack_row(table.dtype, table.data.get() + id / kLanes * bytes_per_panel, id % kLanes, table.in, out.row(r));
      k_.scale(out.row(r), scale * table.scale, out.cols, out.row(r));
    }
  });
  return out;
}

CpuOps::RowsToFill CpuOps::room_for_quantised(int64_t rows, int64_t k, DType of) {
  const int64_t n = rows * k;
  RowsToFill to;
  to.superblock = kernels::is_superblock(of);
  to.at.q = arena_.array<int8_t>(n);
  to.at.sum16 = arena_.array<int32_t>(n / 16);
  to.at.scale = arena_.array<float>(n / (to.superblock ? kernels::kTileK : kernels::kGroup));
  to.rows = {to.at.q, to.at.scale, to.at.sum16, rows, k};
  if (to.superblock) {
    to.rows.factor = to.at.factor = arena_.array<uint8_t>(n / kernels::kGroup);
    to.rows.pair16 = to.at.pair16 = arena_.array<int32_t>(n / kernels::kGroup);
    to.rows.pair32 = to.at.pair32 = arena_.array<int32_t>(n / (2 * kernels::kGroup));
  }
  return to;
}

void CpuOps::quantise_part(const RowsToFill& to, const float* x, int64_t row, int64_t column, int64_t n) const {
  const int64_t at = row * to.rows.k + column, group = at / kernels::kGroup;
  if (to.superblock)
    k_.quantise_tiles(
        x, n, 1, n,
        {to.at.q + at, to.at.scale + at / kernels::kTileK, to.at.sum16 + at / 16, to.at.factor + group, to.at.pair16 + group, to.at.pair32 + group / 2});
  else
    k_.quantise_rows(x, n, 1, n, to.at.q + at, to.at.scale + group, to.at.sum16 + at / 16);
}

kernels::QuantRows CpuOps::quantise(Tensor x, DType of) {
  const RowsToFill to = room_for_quantised(x.rows, x.cols, of);
  for_rows(x.rows, x.cols, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) quantise_part(to, x.row(r), r, 0, x.cols);
  });
  return to.rows;
}

const kernels::QuantRows& CpuOps::quantised(Tensor x, DType of) {
  Quantised& known = quantised_[kernels::is_superblock(of) ? 1 : 0];
  if (known.of != x.data || known.rows.rows != x.rows || known.rows.k != x.cols) known = {x.data, quantise(x, of)};
  return known.rows;
}

void CpuOps::forget_quantised() {
  for (Quantised& q : quantised_) q.of = nullptr;
}

void CpuOps::matmul(const Linear& w, Tensor x, const kernels::QuantRows* rows, int64_t panel_begin, int64_t panel_end, Tensor out, int64_t column0) const {
  if (is_quantised(w.dtype)) {
    kernels::QuantMatmul a;
    a.dtype = w.dtype, a.panels = w.data.get(), a.n = w.out, a.panel_begin = panel_begin, a.panel_end = panel_end;
    a.x = *rows, a.w_scale = w.scale, a.out = out.data, a.ldo = out.cols, a.column0 = column0;
    k_.matmul_quant(a);
  } else {
    kernels::DenseMatmul a;
    a.dtype = w.dtype, a.panels = w.data.get(), a.n = w.out, a.panel_begin = panel_begin, a.panel_end = panel_end;
    a.x = x.data, a.ldx = x.cols, a.rows = x.rows, a.k = x.cols, a.out = out.data, a.ldo = out.cols, a.column0 = column0;
    k_.matmul_dense(a);
  }
}

// Matrices times the same rows, as one list of pieces for the pool.
void CpuOps::matmul_parallel(std::span<const Linear* const> matrices, Tensor x, std::span<const Tensor> outs) {
  struct Part {
    const kernels::QuantRows* rows;
    int64_t panels, grain, first_piece;
  };
  Part parts[3];
  check(matrices.size() <= 3 && outs.size() == matrices.size(), "at most three matrices at once");
  uint64_t bytes = 0;
  for (const Linear* w : matrices) bytes += w->bytes;
  // Enough pieces that a thread which was interrupted does not hold up the others; few rows take at least 64 KiB of weights each.
  const int64_t share = std::max<int64_t>(static_cast<int64_t>(bytes) / (int64_t{pool_.num_threads()} * 4), x.rows >= 8 ? 1 : 65536);
  int64_t pieces = 0;
  for (size_t i = 0; i < matrices.size(); ++i) {
    const Linear& w = *matrices[i];
    Part& p = parts[i];
    p.rows = is_quantised(w.dtype) ? &quantised(x, w.dtype) : nullptr;
    p.panels = panels_of(w.out);
    const int64_t bytes_per_panel = panel_bytes(w.dtype, w.in);
    p.grain = std::clamp<int64_t>((share + bytes_per_panel - 1) / bytes_per_panel, 1, p.panels);
    p.first_piece = pieces;
    pieces += (p.panels + p.grain - 1) / p.grain;
  }
  parallel(pieces, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t j = begin; j < end; ++j) {
      size_t i = matrices.size() - 1;
      while (j < parts[i].first_piece) --i;
      const int64_t panel = (j - parts[i].first_piece) * parts[i].grain;
      matmul(*matrices[i], x, parts[i].rows, panel, std::min(panel + parts[i].grain, parts[i].panels), outs[i]);
    }
  });
}

Tensor CpuOps::linear(Tensor x, const Linear& w) { return linears(x, w, {}, {})[0]; }

std::array<Tensor, 3> CpuOps::linears(Tensor x, const Linear& a, const Linear& b, const Linear& c) {
  std::array<Tensor, 3> result;
  const Linear* matrices[3];
  Tensor outs[3];
  size_t n = 0;
  for (const Linear* w : {&a, &b, &c}) {
    if (!*w) continue;
    check(x.cols == w->in, "a linear's input is as wide as its matrix");
    const Tensor out = empty(x.rows, w->out);
    result[static_cast<size_t>(w == &a ? 0 : w == &b ? 1 : 2)] = out;
    matrices[n] = w, outs[n++] = out;
  }
  if (x.rows > 0) matmul_parallel({matrices, n}, x, {outs, n});
  return result;
}

// The middle of the network is wider than all else. It is made a block at a time, some rows of some outputs of gate and up, and rounded for the next matrix while it is
// in the cache: neither product is ever whole in memory.
Tensor CpuOps::gated_mlp(Tensor x, const GatedMlp& mlp) {
  constexpr int64_t kBlockRows = 120, kTileRows = 12, kBlockFloats = kBlockRows * kernels::kTileK;  // rows as the kernels take them
  const int64_t width = mlp.gate.out, threads = pool_.num_threads();
  const int64_t row_blocks = std::max<int64_t>(1, (x.rows + kBlockRows - 1) / kBlockRows);
  const int64_t share = (x.rows + row_blocks - 1) / row_blocks, block_rows = row_blocks == 1 ? share : (share + kTileRows - 1) / kTileRows * kTileRows;
  // Fewer rows, wider blocks: weights are best read in long runs, four for each thread.
  const auto whole_tiles = [](int64_t n) { return (n + kernels::kTileK - 1) / kernels::kTileK * kernels::kTileK; };
  const int64_t block_columns =
      std::clamp(whole_tiles(width / (4 * threads)), int64_t{kernels::kTileK}, whole_tiles(kBlockFloats / std::max<int64_t>(1, block_rows)));
  const int64_t column_blocks = (width + block_columns - 1) / block_columns;
  if (x.rows == 0 || column_blocks * row_blocks < 2 * threads)
    return Ops::gated_mlp(x, mlp);  // a block is at least a tile wide: so many threads want smaller pieces

  const bool rounds = is_quantised(mlp.down.dtype);
  Tensor h{nullptr, x.rows, width};
  RowsToFill to;
  if (rounds) {
    to = room_for_quantised(x.rows, width, mlp.down.dtype);
    h.data = reinterpret_cast<float*>(to.at.q);  // nobody looks at h: the name under which its rounded rows are known
  } else {
    h = empty(x.rows, width);
  }
  const kernels::QuantRows* gate_rows = is_quantised(mlp.gate.dtype) ? &quantised(x, mlp.gate.dtype) : nullptr;
  const kernels::QuantRows* up_rows = is_quantised(mlp.up.dtype) ? &quantised(x, mlp.up.dtype) : nullptr;
  float* scratch = arena_.array<float>(threads * 2 * block_rows * block_columns);
  // Blocks of the same outputs follow each other: their weights come from memory once.
  parallel(column_blocks * row_blocks, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t j = begin; j < end; ++j) {
      const int64_t column = j / row_blocks * block_columns, columns = std::min(block_columns, width - column);
      const int64_t row = j % row_blocks * block_rows, rows = std::min(block_rows, x.rows - row);
      if (rows <= 0) continue;
      const Tensor in{x.row(row), rows, x.cols};
      const Tensor gate{scratch + int64_t{worker} * 2 * block_rows * block_columns, rows, block_columns};
      const Tensor up{gate.data + block_rows * block_columns, rows, block_columns};
      const auto product = [&](const Linear& w, const kernels::QuantRows* all, Tensor out) {
        const kernels::QuantRows some = all ? kernels::rows_of(*all, row, rows) : kernels::QuantRows{};
        matmul(w, in, &some, column / kLanes, panels_of(column + columns), out, column);
      };
      product(mlp.gate, gate_rows, gate);
      product(mlp.up, up_rows, up);
      for (int64_t r = 0; r < rows; ++r) {
        float* made = rounds ? gate.row(r) : h.row(row + r) + column;
        k_.gelu_mul(gate.row(r), up.row(r), columns, made);
        if (rounds) quantise_part(to, made, row + r, column, columns);
      }
    }
  });
  if (rounds) quantised_[to.superblock ? 1 : 0] = {h.data, to.rows};
  return linear(h, mlp.down);
}

}  // namespace carat
