// Speed of the kernels beside the peaks of the machine they run on. One thread; every figure is the best of many iterations in the thread's own CPU time,
// because a shared machine only ever adds time. Names: <kernel>/<type or shape>/<table>. Counters: Gop/s (2 per multiply-add), GB/s (bytes of weights read),
// share of the peak.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "tensor/dequantise.h"
#include "tensor/dtype.h"
#include "tensor/pack.h"

namespace carat::kernels {
namespace {

// Seconds this thread has computed, without those in which others had the core.
double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <typename F>
double best_seconds(int times, F f) {
  double best = 1e30;
  for (int i = 0; i < times; ++i) {
    const double start = cpu_seconds();
    f();
    best = std::min(best, cpu_seconds() - start);
  }
  return best;
}

struct Peaks {
  double int8_ops = 0;  // per second
  double f32_ops = 0;
  double bytes = 0;  // read from memory
};

// Of the best table: what `carat bench` calls the roofline, with one thread.
Peaks measure_peaks() {
  const KernelTable& t = *find_table("");
  constexpr int64_t kTurns = 100000;
  Peaks p;
  p.int8_ops = static_cast<double>(t.spin_int8(kTurns)) / best_seconds(20, [&] { t.spin_int8(kTurns); });
  p.f32_ops = static_cast<double>(t.spin_f32(kTurns)) / best_seconds(20, [&] { t.spin_f32(kTurns); });
  const std::vector<std::byte> memory(size_t{512} << 20, std::byte{1});
  const auto bytes = static_cast<int64_t>(memory.size());
  for (int way = 0; way < kReadWays; ++way)
    p.bytes = std::max(p.bytes, static_cast<double>(bytes) / best_seconds(4, [&] { t.read_bytes(memory.data(), bytes, way); }));
  return p;
}

const Peaks& peaks() {
  static const Peaks p = measure_peaks();
  return p;
}

// Ordinary floats; blocks of random bytes whose f16 scales are ordinary too (subnormal ones would be slow on some machines).
std::vector<std::byte> random_rows(DType t, int64_t n, int64_t k) {
  std::vector<std::byte> rows(static_cast<size_t>(n * row_bytes(t, k)));
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  if (!is_float(t)) {
    for (auto& b : rows) b = static_cast<std::byte>(0x20 | (rng() & 0x1F));
    return rows;
  }
  for (int64_t i = 0; i < n * k; ++i) {
    const float v = normal(rng);
    const uint16_t half = t == DType::f16 ? f32_to_f16(v) : f32_to_bf16(v);
    std::memcpy(rows.data() + i * info(t).block_bytes, t == DType::f32 ? static_cast<const void*>(&v) : &half, static_cast<size_t>(info(t).block_bytes));
  }
  return rows;
}

struct Weights {
  std::vector<std::byte> bytes;  // several matrices, one after the other, larger together than the caches
  int64_t matrix_bytes = 0;
  int copies = 0;
};

Weights make_weights(DType t, int64_t n, int64_t k, int64_t at_least) {
  const auto rows = random_rows(t, 16, k);
  Weights w;
  const int64_t panel = panel_bytes(t, k);
  w.matrix_bytes = n / 16 * panel;
  w.copies = static_cast<int>(at_least / w.matrix_bytes) + 1;
  w.bytes.resize(static_cast<size_t>(w.matrix_bytes * w.copies));
  const std::byte* lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = rows.data() + i * row_bytes(t, k);
  pack_panel(t, lanes, k, w.bytes.data());
  for (int64_t at = panel; at < static_cast<int64_t>(w.bytes.size()); at += panel) std::memcpy(w.bytes.data() + at, w.bytes.data(), static_cast<size_t>(panel));
  return w;
}

// One timing a turn; the best one makes the counters.
template <typename F>
double run(benchmark::State& state, F f) {
  double best = 1e30;
  for (auto _ : state) {
    const double start = cpu_seconds();
    f();
    const double s = cpu_seconds() - start;
    best = std::min(best, s);
    state.SetIterationTime(s);
  }
  return best;
}

void report(benchmark::State& state, double seconds, double ops, double bytes, double peak_ops) {
  state.counters["best_us"] = seconds * 1e6;
  state.counters["Gop/s"] = ops / seconds * 1e-9;
  if (peak_ops > 0) state.counters["of_peak"] = ops / seconds / peak_ops;
  if (bytes > 0) {
    state.counters["GB/s"] = bytes / seconds * 1e-9;
    if (peaks().bytes > 0) state.counters["of_memory"] = bytes / seconds / peaks().bytes;
  }
}

void quant_matmul(benchmark::State& state, const KernelTable* t, DType type, int64_t rows, int64_t k, int64_t n) {
  const Weights w = make_weights(type, n, k, rows == 1 ? int64_t{160} << 20 : 1);
  std::mt19937 rng(2);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows * k)), out(static_cast<size_t>(rows * n)), scale(static_cast<size_t>(rows * k / 32));
  for (auto& v : x) v = normal(rng);
  std::vector<int8_t> q(x.size());
  std::vector<int32_t> sum16(static_cast<size_t>(rows * k / 16));
  std::vector<uint8_t> factor(scale.size());
  std::vector<int32_t> pair16(scale.size()), pair32(scale.size() / 2);
  QuantRows quantised{q.data(), scale.data(), sum16.data(), rows, k};
  if (is_superblock(type)) {
    t->quantise_tiles(x.data(), k, rows, k, {q.data(), scale.data(), sum16.data(), factor.data(), pair16.data(), pair32.data()});
    quantised.factor = factor.data(), quantised.pair16 = pair16.data(), quantised.pair32 = pair32.data();
  } else {
    t->quantise_rows(x.data(), k, rows, k, q.data(), scale.data(), sum16.data());
  }
  int copy = 0;
  const double best = run(state, [&] {
    t->matmul_quant({.dtype = type,
                     .panels = w.bytes.data() + copy * w.matrix_bytes,
                     .n = n,
                     .panel_begin = 0,
                     .panel_end = n / 16,
                     .x = quantised,
                     .out = out.data(),
                     .ldo = n});
    copy = (copy + 1) % w.copies;
  });
  report(state, best, 2.0 * static_cast<double>(rows * n * k), rows == 1 ? static_cast<double>(w.matrix_bytes) : 0, peaks().int8_ops);
}

void dense_matmul(benchmark::State& state, const KernelTable* t, DType type, int64_t rows, int64_t k, int64_t n) {
  const Weights w = make_weights(type, n, k, rows == 1 ? int64_t{160} << 20 : 1);
  std::vector<float> x(static_cast<size_t>(rows * k), 0.5f), out(static_cast<size_t>(rows * n));
  int copy = 0;
  const double best = run(state, [&] {
    t->matmul_dense({.dtype = type,
                     .panels = w.bytes.data() + copy * w.matrix_bytes,
                     .n = n,
                     .panel_begin = 0,
                     .panel_end = n / 16,
                     .x = x.data(),
                     .ldx = k,
                     .rows = rows,
                     .k = k,
                     .out = out.data(),
                     .ldo = n});
    copy = (copy + 1) % w.copies;
  });
  report(state, best, 2.0 * static_cast<double>(rows * n * k), rows == 1 ? static_cast<double>(w.matrix_bytes) : 0, peaks().f32_ops);
}

void quantise(benchmark::State& state, const KernelTable* t, int64_t k) {
  std::vector<float> x(static_cast<size_t>(k), 0.7f), scale(static_cast<size_t>(k / 32));
  std::vector<int8_t> q(x.size());
  std::vector<int32_t> sum16(static_cast<size_t>(k / 16));
  const double best = run(state, [&] {
    for (int i = 0; i < 64; ++i) t->quantise_rows(x.data(), k, 1, k, q.data(), scale.data(), sum16.data());
  });
  state.counters["ns_a_row"] = best / 64 * 1e9;
}

// rows query rows that see all of `splits` splits; f16 cache.
void attention(benchmark::State& state, const KernelTable* t, int32_t rows, int32_t head_dim, bool one_tensor) {
  constexpr int kSplits = 16;
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  const int64_t tile = head_dim * kTilePositions;
  std::vector<uint16_t> k(static_cast<size_t>(tile * 8 * kSplits)), v(k.size());
  for (auto& h : k) h = f32_to_f16(normal(rng));
  for (auto& h : v) h = f32_to_f16(normal(rng));
  std::vector<float> q(static_cast<size_t>(rows * head_dim), 0.01f), o(q.size()), m(static_cast<size_t>(rows)), l(m.size());
  std::vector<float> scratch(static_cast<size_t>(attend_scratch_floats(rows, head_dim, DType::f16))),
      table(static_cast<size_t>(kSplits * 8 * 64 + 64 * 32 + 1024), 0.6f);
  std::vector<const float*> qs;
  std::vector<float*> os;
  for (int32_t r = 0; r < rows; ++r) {
    qs.push_back(q.data() + r * head_dim);
    os.push_back(o.data() + r * head_dim);
  }
  const std::vector<int32_t> lo(m.size(), 0), hi(m.size(), kSplits * kSplit);
  const OneTensor one{table.data(), 64, table.data(), table.data(), table.data(), table.data()};
  const double best = run(state, [&] {
    for (int32_t s = 0; s < kSplits; ++s) {
      const std::byte *kt[8], *vt[8];
      for (int i = 0; i < 8; ++i) {
        kt[i] = reinterpret_cast<const std::byte*>(k.data() + (s * 8 + i) * tile);
        vt[i] = reinterpret_cast<const std::byte*>(v.data() + (s * 8 + i) * tile);
      }
      t->attend_split({.kv_dtype = DType::f16,
                       .head_dim = head_dim,
                       .rows = rows,
                       .q = qs.data(),
                       .lo = lo.data(),
                       .hi = hi.data(),
                       .split = s,
                       .k_tiles = kt,
                       .v_tiles = vt,
                       .one = one_tensor ? &one : nullptr,
                       .m = m.data(),
                       .l = l.data(),
                       .o = os.data(),
                       .scratch = scratch.data()});
    }
  });
  report(state, best, 4.0 * rows * head_dim * kSplits * kSplit, rows == 1 ? static_cast<double>(k.size() + (one_tensor ? 0 : v.size())) * 2 : 0,
         peaks().f32_ops);
}

void pack(benchmark::State& state, DType type) {
  const int64_t k = 2048;
  const auto rows = random_rows(type, 16, k);
  std::vector<std::byte> panel(static_cast<size_t>(panel_bytes(type, k)));
  const std::byte* lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = rows.data() + i * row_bytes(type, k);
  const double best = run(state, [&] { pack_panel(type, lanes, k, panel.data()); });
  state.counters["GB/s"] = static_cast<double>(rows.size()) / best * 1e-9;
}

void register_all() {
  const TableList list = available_tables();
  const auto add = [](const std::string& name, auto f) { benchmark::RegisterBenchmark(name.c_str(), f)->UseManualTime()->MinTime(0.25); };
  for (int i = list.count - 1; i > 0; --i) {
    const KernelTable* t = list.tables[i];
    const std::string on = std::string("/") + t->name;
    for (const DType type :
         {DType::q4_0, DType::q4_k, DType::q5_0, DType::q5_k, DType::q6_k, DType::q8_0, DType::q2_k, DType::q3_k, DType::iq4_xs, DType::mxfp4, DType::nvfp4}) {
      const std::string name(info(type).name);
      add("decode_1x2048x8192/" + name + on, [=](benchmark::State& s) { quant_matmul(s, t, type, 1, 2048, 8192); });
      add("rows_8x2048x2048/" + name + on, [=](benchmark::State& s) { quant_matmul(s, t, type, 8, 2048, 2048); });
      add("prefill_512x2048x2048/" + name + on, [=](benchmark::State& s) { quant_matmul(s, t, type, 512, 2048, 2048); });
    }
    for (const DType type : {DType::bf16, DType::f16, DType::f32}) {
      const std::string name(info(type).name);
      add("decode_1x1536x8960/" + name + on, [=](benchmark::State& s) { dense_matmul(s, t, type, 1, 1536, 8960); });
      add("prefill_512x1536x2048/" + name + on, [=](benchmark::State& s) { dense_matmul(s, t, type, 512, 1536, 2048); });
    }
    add("quantise_row_2048" + on, [=](benchmark::State& s) { quantise(s, t, 2048); });
    for (const int32_t rows : {1, 8, 64})
      for (const int32_t dim : {256, 512})
        add("attend/" + std::to_string(rows) + "x" + std::to_string(dim) + on, [=](benchmark::State& s) { attention(s, t, rows, dim, false); });
    for (const int32_t rows : {8, 16})
      add("attend_one_tensor/" + std::to_string(rows) + "x512" + on, [=](benchmark::State& s) { attention(s, t, rows, 512, true); });
  }
  for (const DType type : {DType::q4_0, DType::q4_k, DType::q5_0, DType::q6_k, DType::q8_0, DType::bf16, DType::f32})
    add("pack/" + std::string(info(type).name), [=](benchmark::State& s) { pack(s, type); });
}

}  // namespace
}  // namespace carat::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const auto& p = carat::kernels::peaks();
  std::printf("peaks of one core, measured now: int8 dot %.0f Gop/s, f32 fma %.0f Gop/s, reading memory %.1f GB/s\n", p.int8_ops * 1e-9, p.f32_ops * 1e-9,
              p.bytes * 1e-9);
  carat::kernels::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
