#include "cli/doctor_rates.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "base/pages.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"

namespace carat::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSecondsEach = 0.3;
constexpr uint64_t kMostBuffer = uint64_t{512} << 20;
constexpr int64_t kIn = 1024, kOut = 64, kRows = 32;  // a matrix, rows and results that stay in a core's own caches

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The quickest of the passes that fit into the time, at least two: the first one wakes the cores up.
double quickest(const std::function<void()>& pass) {
  const auto begin = Clock::now();
  double best = 1e9;
  for (int i = 0; i < 2 || seconds_since(begin) < kSecondsEach; ++i) {
    const auto start = Clock::now();
    pass();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

double read_rate(ThreadPool& pool, uint64_t bytes) {
  const std::unique_ptr<std::byte, std::function<void(std::byte*)>> buffer(map_pages(bytes), [bytes](std::byte* p) { unmap_pages(p, bytes); });
  auto* words = reinterpret_cast<uint64_t*>(buffer.get());
  const auto n = static_cast<int64_t>(bytes / 8);
  constexpr int64_t kGrain = 1 << 17;  // 1 MiB
  pool.parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) words[i] = static_cast<uint64_t>(i);
  });
  std::atomic<uint64_t> kept{0};  // so that nothing is optimised away
  const double seconds = quickest([&] {
    pool.parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
      uint64_t sum[8] = {};
      for (int64_t i = begin; i + 8 <= end; i += 8)
        for (int j = 0; j < 8; ++j) sum[j] += words[i + j];
      kept += sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    });
  });
  return static_cast<double>(bytes) / seconds / 1e9;
}

// A worker's own operands, so that threads share no cache line.
struct Operands {
  std::vector<std::byte> panels;
  std::vector<float> x = std::vector<float>(kRows * kIn, 0.5f), out = std::vector<float>(kRows * kOut);
  std::vector<int8_t> q = std::vector<int8_t>(kRows * kIn);
  std::vector<float> scale = std::vector<float>(kRows * kIn / kernels::kGroup);
  std::vector<int32_t> sum16 = std::vector<int32_t>(kRows * kIn / 16);
};

double product_rate(ThreadPool& pool, const kernels::KernelTable& table, DType dtype) {
  const int64_t panels = kOut / kernels::kLanes;
  std::vector<Operands> operands(static_cast<size_t>(pool.num_threads()));
  for (Operands& o : operands) {
    o.panels.resize(static_cast<size_t>(panels * kernels::panel_bytes(dtype, kIn)));
    table.quantise_rows(o.x.data(), kIn, kRows, kIn, o.q.data(), o.scale.data(), o.sum16.data());
  }
  constexpr int kRepeats = 64;
  const double seconds = quickest([&] {
    pool.parallel_for(pool.num_threads(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        Operands& o = operands[static_cast<size_t>(i)];
        for (int r = 0; r < kRepeats; ++r) {
          if (dtype == DType::f32) {
            table.matmul_dense({dtype, o.panels.data(), kOut, 0, panels, o.x.data(), kIn, kRows, kIn, o.out.data(), kOut});
          } else {
            table.matmul_quant({dtype, o.panels.data(), kOut, 0, panels, {o.q.data(), o.scale.data(), o.sum16.data(), kRows, kIn}, 1.0f, o.out.data(), kOut});
          }
        }
      }
    });
  });
  return 2.0 * kRepeats * static_cast<double>(kRows * kIn * kOut) * pool.num_threads() / seconds / 1e9;
}

}  // namespace

MachineRates measure_rates(uint64_t available) {
  const auto start = Clock::now();
  ThreadPool pool(default_num_threads());
  const kernels::KernelTable& table = *kernels::find_table("");
  MachineRates rates;
  rates.threads = pool.num_threads();
  rates.read_bytes = std::clamp<uint64_t>(available / 4, uint64_t{1} << 20, kMostBuffer) / 64 * 64;
  rates.read_gb_per_s = read_rate(pool, rates.read_bytes);
  rates.f32_gflops = product_rate(pool, table, DType::f32);
  rates.int8_gops = product_rate(pool, table, DType::q4_k);
  rates.seconds = seconds_since(start);
  return rates;
}

}  // namespace carat::cli
