#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "base/error.h"

namespace carat {
namespace {

// About 20 microseconds: longer than the gap between two kernels of a step, shorter than anyone notices.
constexpr int kSpins = 4000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr double kNoQuota = 1 << 20;

double number_in(std::istream&& in) {
  double n = 0;
  return in >> n ? n : -1;  // "max" is no number; version 1 says "none" by -1
}

double quota_of(const std::string& folder, bool v2) {
  if (v2) {
    std::ifstream in(folder + "/cpu.max");
    double quota = 0, period = 0;
    return in >> quota >> period && quota > 0 && period > 0 ? quota / period : kNoQuota;
  }
  const double quota = number_in(std::ifstream(folder + "/cpu.cfs_quota_us")), period = number_in(std::ifstream(folder + "/cpu.cfs_period_us"));
  return quota > 0 && period > 0 ? quota / period : kNoQuota;
}

// Cores' worth of time: the least that this process's cgroup and those above it allow, of either version.
int quota_cores() {
  double cores = kNoQuota;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {  // "4:cpu,cpuacct:/a/b", "0::/a/b"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    for (std::string path = line.substr(second + 1);; path = path.substr(0, path.rfind('/'))) {
      cores = std::min(cores, quota_of(root + (path == "/" ? "" : path), v2));
      if (path.empty() || path.find('/') == std::string::npos) break;
    }
  }
  return static_cast<int>(std::clamp(cores + 0.5, 1.0, kNoQuota));
}

}  // namespace

int default_num_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::set<std::string> cores;  // hyper-threads of a core name the same siblings
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!(in >> siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::clamp(std::min(static_cast<int>(cores.size()), quota_cores()), 1, 1024);
}

ThreadPool::ThreadPool(int num_threads) {
  if (num_threads < 1 || num_threads > 1024) fail(ErrorCode::invalid_argument, "threads: {} is outside 1..1024", num_threads);
  try {
    for (int i = 1; i < num_threads; ++i) threads_.emplace_back([this, i] { work(i); });
  } catch (...) {  // there is no room for another: those that have begun must not outlive what they wait on
    end_workers();
    throw;
  }
}

ThreadPool::~ThreadPool() { end_workers(); }

void ThreadPool::end_workers() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    epoch_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void ThreadPool::run_ranges(int worker) {
  for (;;) {
    const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= n_) return;
    task_.call(task_.fn, begin, std::min(begin + grain_, n_), worker);
  }
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  for (;;) {
    for (int i = 0; i < kSpins && epoch_.load(std::memory_order_acquire) == seen; ++i) relax();
    if (epoch_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return epoch_.load(std::memory_order_acquire) != seen; });
    }
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_) return;
    run_ranges(worker);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run(int64_t n, int64_t grain, Task task) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (threads_.empty() || n <= grain) {
    for (int64_t begin = 0; begin < n; begin += grain) task.call(task.fn, begin, std::min(begin + grain, n), 0);
    return;
  }
  n_ = n;
  grain_ = grain;
  task_ = task;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    epoch_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  run_ranges(0);
  for (int i = 0; running_.load(std::memory_order_acquire) != 0; ++i) {
    relax();
    if (i > kSpins) std::this_thread::yield();
  }
}

}  // namespace carat
