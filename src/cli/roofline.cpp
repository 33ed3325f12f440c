#include "cli/roofline.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <functional>

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

}  // namespace

RooflineMeter::RooflineMeter(const kernels::KernelTable& table, int threads, uint64_t available) : table_(table), pool_(threads) {
  const uint64_t bytes = std::clamp<uint64_t>(available / 4, static_cast<uint64_t>(threads) << 16, kMostBuffer);
  part_ = static_cast<int64_t>(bytes / static_cast<uint64_t>(threads) / 4096 * 4096);
  std::byte* data = buffer_.reserve(read_bytes());
  madvise(data, read_bytes(), MADV_HUGEPAGE);  // a wish: without it more time goes into finding pages
  on_all(pool_, [&](int64_t i) { std::fill_n(data + i * part_, part_, static_cast<std::byte>(i + 1)); });  // where the thread is that reads it
}

Rates RooflineMeter::measure(double seconds_each) {
  Rates r;
  r.f32_gflops = spin_rate(table_.spin_f32, turns_f32_, seconds_each);
  r.int8_gops = spin_rate(table_.spin_int8, turns_int8_, seconds_each);
  r.read_gb_per_s = read_rate(seconds_each);
  return r;
}

double RooflineMeter::read_rate(double seconds) {
  const std::byte* data = buffer_.reserve(read_bytes());  // is there
  const auto pass = [&](int way) { on_all(pool_, [&](int64_t i) { table_.read_bytes(data + i * part_, part_, way); }); };
  double best = 1e9;
  if (way_ >= 0) {
    best = quickest(seconds, [&] { pass(way_); });
  } else {
    for (int way = 0; way < kernels::kReadWays; ++way) {
      const double took = quickest(seconds / kernels::kReadWays, [&] { pass(way); });
      if (took < best) best = took, way_ = way;
    }
  }
  return static_cast<double>(read_bytes()) / best / 1e9;
}

// Of a loop that gives how many operations it did.
double RooflineMeter::spin_rate(int64_t (*spin)(int64_t turns), int64_t& turns, double seconds) {
  constexpr double kPass = 0.005;  // long beside waking a thread, short beside what disturbs it
  if (turns == 0) {
    turns = 1000;
    spin(turns);
    for (double took = 0; took < kPass / 2; turns *= 2) {
      const auto start = Clock::now();
      spin(turns);
      took = seconds_since(start);
    }
  }
  const auto ops = static_cast<double>(spin(turns));
  return ops * pool_.num_threads() / quickest(seconds, [&] { on_all(pool_, [&](int64_t) { spin(turns); }); }) / 1e9;
}

Roofline measure_roofline(const kernels::KernelTable& table, int threads, uint64_t available, double seconds_each) {
  const auto start = Clock::now();
  RooflineMeter meter(table, threads, available);
  Roofline r;
  static_cast<Rates&>(r) = meter.measure(seconds_each);
  r.threads = threads;
  r.read_bytes = meter.read_bytes();
  r.seconds = seconds_since(start);
  return r;
}

}  // namespace carat::cli
