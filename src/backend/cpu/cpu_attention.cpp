// Attention over the paged cache. A unit of work is a tile of rows of one sequence times one kv head; its splits of 256 positions are computed apart and merged in
// ascending order, always, so it does not matter which thread computes which split.
#include <algorithm>
#include <limits>

#include "backend/cpu/cpu_ops.h"
#include "base/error.h"

namespace carat {
namespace {

constexpr int kQueryRows = 32;  // query rows a unit aims at: a K/V tile read once serves them all
constexpr int kTilesPerSplit = kernels::kSplit / kernels::kTilePositions;

struct Unit {
  const BatchSpan* span;
  int32_t kv_head;
  int32_t row_begin, row_end;  // rows of the span
  int32_t lo, hi;              // visible to any of them
  int32_t first_split, num_splits;
};

}  // namespace

void CpuOps::store(const AttentionSpec& spec, Tensor k, const Tensor* v, const Batch& batch) {
  const int64_t head_dim = spec.head_dim;
  const DType dtype = kv_->layout().dtype;
  for_rows(k.rows, k.cols * 4, [&](int64_t begin, int64_t end, int) {
    const BatchSpan* span = batch.spans.data();
    for (int64_t r = begin; r < end; ++r) {
      while (r >= span->row0 + span->rows) ++span;
      const int32_t position = span->position0 + static_cast<int32_t>(r) - span->row0;
      for (int32_t h = 0; h < spec.num_key_value_heads; ++h) {
        const KvStore::Tiles t = kv_->tiles(spec.kv.group, spec.kv.layer, span->tables[spec.kv.group], position, h);
        k_.store_k(k.row(r) + h * head_dim, head_dim, dtype, position % kernels::kTilePositions, t.k);
        if (v) k_.store_v(v->row(r) + h * head_dim, head_dim, dtype, position % kernels::kTilePositions, t.v);
      }
    }
  });
}

void CpuOps::kv_write(const AttentionSpec& spec, Tensor k, Tensor v, const Batch& batch) { store(spec, k, &v, batch); }
void CpuOps::kv_write_one(const AttentionSpec& spec, Tensor n, const Batch& batch) { store(spec, n, nullptr, batch); }

Tensor CpuOps::attention(Tensor q, const AttentionSpec& spec, const Batch& batch) {
  const int32_t group_size = spec.num_attention_heads / spec.num_key_value_heads;
  const int64_t head_dim = spec.head_dim;
  const int32_t tile_rows = std::max(1, kQueryRows / group_size);
  if (spec.scale != 1.0f) q = scale(q, spec.scale);
  Tensor out = empty(q.rows, q.cols);

  // The units, counted first so that the arena holds them.
  int64_t num_units = 0;
  for (const BatchSpan& span : batch.spans) num_units += int64_t{spec.num_key_value_heads} * ((span.rows + tile_rows - 1) / tile_rows);
  Unit* units = arena_.array<Unit>(num_units);
  int64_t n = 0, splits = 0;
  int32_t max_splits = 0, end_position = 0;
  for (const BatchSpan& span : batch.spans) {
    for (int32_t h = 0; h < spec.num_key_value_heads; ++h)
      for (int32_t r = 0; r < span.rows; r += tile_rows) {
        Unit& u = units[n++];
        u.span = &span, u.kv_head = h, u.row_begin = r, u.row_end = std::min(r + tile_rows, span.rows);
        const int32_t first = span.position0 + u.row_begin;
        u.lo = spec.sliding_window > 0 ? std::max(0, first - spec.sliding_window + 1) : 0;
        u.hi = span.position0 + u.row_end;
        u.first_split = u.lo / kernels::kSplit;
        u.num_splits = (u.hi - 1) / kernels::kSplit - u.first_split + 1;
        splits += u.num_splits;
        max_splits = std::max(max_splits, u.num_splits);
        end_position = std::max(end_position, u.hi);
      }
  }
  kernels::OneTensor one;
  if (spec.one_tensor) {
    RopeTable& table = ropes_.of(*spec.one_tensor_rope);
    if (!rehearsing_) table.reserve(end_position);
    one.w = spec.one_tensor_k_norm;
    one.rotary_pairs = static_cast<int32_t>(table.pairs());
    one.cos_base = table.cos_base(), one.sin_base = table.sin_base();
    one.cos_offset = table.cos_offset(), one.sin_offset = table.sin_offset();
  }

  const int32_t max_rows = tile_rows * group_size;
  const int threads = pool_.num_threads();
  const int64_t scratch_floats = kernels::attend_scratch_floats(max_rows, head_dim, kv_->layout().dtype);
  float* scratch = arena_.array<float>(scratch_floats * threads);

  auto out_row = [&](const Unit& u, int32_t i) {  // query row i of a unit: head varies fastest
    return out.row(u.span->row0 + u.row_begin + i / group_size) + (int64_t{u.kv_head} * group_size + i % group_size) * head_dim;
  };
  // Tiles of a split that some row of the unit sees.
  auto tiles_of = [&](const Unit& u, int32_t split, const std::byte** k_tiles, const std::byte** v_tiles) {
    for (int32_t t = 0; t < kTilesPerSplit; ++t) {
      k_tiles[t] = v_tiles[t] = nullptr;
      const int32_t position = split * kernels::kSplit + t * kernels::kTilePositions;
      if (position >= u.hi || position + kernels::kTilePositions <= u.lo) continue;
      const KvStore::Tiles tiles = kv_->tiles(spec.kv.group, spec.kv.layer, u.span->tables[spec.kv.group], position, u.kv_head);
      k_tiles[t] = tiles.k, v_tiles[t] = tiles.v;
    }
  };
  // more: this thread computes the split behind this one next.
  auto compute = [&](const Unit& u, int32_t split, bool more, float* m, float* l, float* const* o, int worker) {
    const int32_t rows = (u.row_end - u.row_begin) * group_size;
    const float* query[kQueryRows * 8];
    int32_t lo[kQueryRows * 8], hi[kQueryRows * 8];
    for (int32_t i = 0; i < rows; ++i) {
      const int32_t position = u.span->position0 + u.row_begin + i / group_size;
      query[i] = q.row(u.span->row0 + u.row_begin + i / group_size) + (int64_t{u.kv_head} * group_size + i % group_size) * head_dim;
      lo[i] = spec.sliding_window > 0 ? std::max(0, position - spec.sliding_window + 1) : 0;
      hi[i] = position + 1;
    }
    const std::byte *k_tiles[kTilesPerSplit], *v_tiles[kTilesPerSplit], *next_k[kTilesPerSplit], *next_v[kTilesPerSplit];
    tiles_of(u, split, k_tiles, v_tiles);
    if (more) tiles_of(u, split + 1, next_k, next_v);
    kernels::AttendSplit a;
    a.kv_dtype = kv_->layout().dtype, a.head_dim = spec.head_dim, a.rows = rows;
    a.q = query, a.lo = lo, a.hi = hi, a.split = split;
    a.k_tiles = k_tiles, a.v_tiles = v_tiles, a.next_k_tiles = more ? next_k : nullptr, a.one = spec.one_tensor ? &one : nullptr;
    a.m = m, a.l = l, a.o = o, a.scratch = scratch + scratch_floats * worker;
    k_.attend_split(a);
  };
  check(max_rows <= kQueryRows * 8, "a unit's query rows fit its tables");

  // Units are enough to keep every thread busy, and none is much longer than its share: partials stay in a worker's own corner.
  if (threads == 1 || splits == num_units || (num_units >= 2 * threads && int64_t{max_splits} * threads <= splits)) {
    float* corner = arena_.array<float>(int64_t{threads} * max_rows * (head_dim + 2));
    parallel(num_units, 1, [&](int64_t begin, int64_t end, int worker) {
      float* m = corner + int64_t{worker} * max_rows * (head_dim + 2);
      float* l = m + max_rows;
      float* o[kQueryRows * 8];
      for (int32_t i = 0; i < max_rows; ++i) o[i] = l + max_rows + i * head_dim;
      for (int64_t j = begin; j < end; ++j) {
        const Unit& u = units[j];
        const int32_t rows = (u.row_end - u.row_begin) * group_size;
        float running_m[kQueryRows * 8], running_l[kQueryRows * 8];
        std::fill_n(running_m, rows, -std::numeric_limits<float>::infinity());
        std::fill_n(running_l, rows, 0.0f);
        for (int32_t s = 0; s < u.num_splits; ++s) {
          compute(u, u.first_split + s, s + 1 < u.num_splits, m, l, o, worker);
          for (int32_t i = 0; i < rows; ++i) k_.attend_merge(m[i], l[i], o[i], head_dim, &running_m[i], &running_l[i], out_row(u, i));
        }
        for (int32_t i = 0; i < rows; ++i) k_.attend_finish(running_l[i], head_dim, out_row(u, i));
      }
    });
    return out;
  }

  // Few units, long context: the splits are spread over the threads, a wave at a time, and each wave is merged in order. Memory does not grow with the context.
  // A thread takes kRun splits in a row, of which it fetches the next while it computes one.
  constexpr int32_t kRun = 8, kRuns = 4;
  const int32_t wave = static_cast<int32_t>(std::clamp<int64_t>(kRun * kRuns * threads / num_units, 1, max_splits));
  const int64_t unit_rows = int64_t{wave} * max_rows;  // partials of a unit in a wave
  float* ml = arena_.array<float>(num_units * unit_rows * 2);
  float* po = arena_.array<float>(num_units * unit_rows * head_dim);
  float* running = arena_.array<float>(num_units * max_rows * 2);
  for (int64_t i = 0; i < num_units * max_rows; ++i) running[2 * i] = -std::numeric_limits<float>::infinity(), running[2 * i + 1] = 0;
  for (int32_t first = 0; first < max_splits; first += wave) {
    const int32_t splits_left = std::min(wave, max_splits - first);
    const int64_t run = std::clamp<int64_t>(num_units * splits_left / threads, 1, kRun);
    parallel(num_units * wave, run, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t j = begin; j < end; ++j) {
        const Unit& u = units[j / wave];
        const int32_t s = first + static_cast<int32_t>(j % wave);
        if (s >= u.num_splits) continue;
        float* o[kQueryRows * 8];
        for (int32_t i = 0; i < max_rows; ++i) o[i] = po + (j * max_rows + i) * head_dim;
        compute(u, u.first_split + s, j + 1 < end && s + 1 < u.num_splits && (j + 1) % wave != 0, ml + j * max_rows * 2, ml + j * max_rows * 2 + max_rows, o,
                worker);
      }
    });
    for_rows(num_units * max_rows, head_dim * wave, [&](int64_t begin, int64_t end, int) {
      for (int64_t j = begin; j < end; ++j) {
        const int64_t n_unit = j / max_rows, i = j % max_rows;
        const Unit& u = units[n_unit];
        if (first >= u.num_splits || i >= (u.row_end - u.row_begin) * group_size) continue;  // finished in an earlier wave, or no row
        float* ran = running + j * 2;
        float* to = out_row(u, static_cast<int32_t>(i));
        const int32_t last = std::min(first + wave, u.num_splits);
        for (int32_t s = first; s < last; ++s) {
          const int64_t at = (n_unit * wave + s - first) * max_rows;
          k_.attend_merge(ml[at * 2 + i], ml[at * 2 + max_rows + i], po + (at + i) * head_dim, head_dim, ran, ran + 1, to);
        }
        if (last == u.num_splits) k_.attend_finish(ran[1], head_dim, to);
      }
    });
  }
  return out;
}

}  // namespace carat
