// Tokens per second of the forward pass alone: forward_bench MODEL [prefill=512] [decode=64] [threads=2] [repeat=3] [isa]. Prints one JSON line.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "backend/kv_store.h"
#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace carat {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

int bench(int argc, char** argv) {
  const int prefill = argc > 2 ? std::atoi(argv[2]) : 512, decode = argc > 3 ? std::atoi(argv[3]) : 64, threads = argc > 4 ? std::atoi(argv[4]) : 2;
  const int repeat = argc > 5 ? std::atoi(argv[5]) : 3;
  const double t0 = now();
  auto ops = make_cpu_ops({.num_threads = threads, .isa = argc > 6 ? argv[6] : ""});
  auto model = Model::load(Checkpoint::open(argv[1]), *ops);
  const double load = now() - t0;
  const KvLayout layout = model->kv_layout(DType::f16);
  const int ctx = prefill + decode + 1;
  std::vector<int32_t> slots[kNumKvGroups];
  int32_t next = 0;
  for (int g = 0; g < kNumKvGroups; ++g) {
    const int blocks = (ctx + layout.block_positions[g] - 1) / layout.block_positions[g];
    for (int i = 0; i < blocks * layout.slots_per_block[g]; ++i) slots[g].push_back(next++);
  }
  KvStore kv(layout, next);
  auto run = [&](int position, int rows) {
    Batch b;
    for (int i = 0; i < rows; ++i)
      b.token_ids.push_back((position + i) * 7919 % static_cast<int>(std::min<int64_t>(model->config().vocab_size, 200000))),
          b.positions.push_back(position + i);
    BatchSpan s;
    s.rows = rows, s.position0 = position;
    for (int g = 0; g < kNumKvGroups; ++g) s.tables[g] = {slots[g].data(), 0, static_cast<int32_t>(slots[g].size())};
    b.spans.push_back(s);
    b.logit_rows.push_back(rows - 1);
    const double t = now();
    model->forward(*ops, kv, b);
    return now() - t;
  };
  double best_prefill = 1e30, best_decode = 1e30;
  for (int r = 0; r < repeat; ++r) {
    double p = 0;
    for (int at = 0; at < prefill; at += 512) p += run(at, std::min(512, prefill - at));
    best_prefill = std::min(best_prefill, p);
    double d = 0;
    for (int i = 0; i < decode; ++i) d += run(prefill + i, 1);
    best_decode = std::min(best_decode, d);
  }
  fmt::print("{{\"isa\":\"{}\",\"threads\":{},\"load_s\":{:.3f},\"prefill_tokens_per_s\":{:.1f},\"decode_tokens_per_s\":{:.1f},\"weight_bytes\":{}}}\n",
             ops->name(), threads, load, prefill / best_prefill, decode / best_decode, model->weight_bytes());
  return 0;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: forward_bench MODEL [prefill] [decode] [threads] [repeat] [isa]\n", stderr), 2;
  try {
    return carat::bench(argc, argv);
  } catch (const carat::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
