#include "cli/roofline.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>

#include "base/pages.h"
#include "base/thread_pool.h"

namespace carat::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kMostBuffer = uint64_t{512} << 20;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Of the passes that fit into the time, at least three: the first ones wake the cores up.
double quickest(double seconds, const std::function<void()>& pass) {
  const auto begin = Clock::now();
  double best = 1e9;
  for (int i = 0; i < 3 || seconds_since(begin) < seconds; ++i) {
    const auto start = Clock::now();
    pass();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

// fn(thread) once on every thread.
template <typename Fn>
void on_all(ThreadPool& pool, Fn&& fn) {
  pool.parallel_for(pool.num_threads(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) fn(i);
  });
}

double read_rate(ThreadPool& pool, const kernels::KernelTable& table, uint64_t bytes, double seconds) {
  const std::unique_ptr<std::byte, std::function<void(std::byte*)>> buffer(map_pages(bytes), [bytes](std::byte* p) { unmap_pages(p, bytes); });
  madvise(buffer.get(), bytes, MADV_HUGEPAGE);  // a wish: without it more time goes into finding pages
  const int64_t part = static_cast<int64_t>(bytes) / pool.num_threads() / 4096 * 4096;
  on_all(pool, [&](int64_t i) { std::fill_n(buffer.get() + i * part, part, static_cast<std::byte>(i + 1)); });  // where the thread is that reads it
  double best = 1e9;
  for (int way = 0; way < kernels::kReadWays; ++way) {
    best =
        std::min(best, quickest(seconds / kernels::kReadWays, [&] { on_all(pool, [&](int64_t i) { table.read_bytes(buffer.get() + i * part, part, way); }); }));
  }
  return static_cast<double>(part * pool.num_threads()) / best / 1e9;
}

// Operations a second, in 1e9, of a loop that gives how many it did.
double spin_rate(ThreadPool& pool, int64_t (*spin)(int64_t turns), double seconds) {
  constexpr double kPass = 0.005;  // long beside waking a thread, short beside what disturbs it
  int64_t turns = 1000;
  spin(turns);
  for (double took = 0; took < kPass / 2; turns *= 2) {
    const auto start = Clock::now();
    spin(turns);
    took = seconds_since(start);
  }
  const auto ops = static_cast<double>(spin(turns));
  return ops * pool.num_threads() / quickest(seconds, [&] { on_all(pool, [&](int64_t) { spin(turns); }); }) / 1e9;
}

}  // namespace

Roofline measure_roofline(const kernels::KernelTable& table, int threads, uint64_t available, double seconds_each) {
  const auto start = Clock::now();
  ThreadPool pool(threads);
  Roofline r;
  r.threads = threads;
  r.read_bytes = std::clamp<uint64_t>(available / 4, static_cast<uint64_t>(threads) << 16, kMostBuffer) / 4096 * 4096;
  r.read_gb_per_s = read_rate(pool, table, r.read_bytes, seconds_each);
  r.f32_gflops = spin_rate(pool, table.spin_f32, seconds_each);
  r.int8_gops = spin_rate(pool, table.spin_int8, seconds_each);
  r.seconds = seconds_since(start);
  return r;
}

}  // namespace carat::cli
