#pragma once
// Fork-join over independent ranges. The caller is worker 0; workers spin briefly, then sleep.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace carat {

// Physical cores this process may use (affinity and cgroup quota taken into account), at least 1.
int default_num_threads();

class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);  // 1..1024; throws std::system_error when the system gives no more threads
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls fn(begin, end, worker) over disjoint ranges that cover [0, n), each at most `grain` long. Results of a range must not depend on the cut.
  // fn must not throw and must not call parallel_for.
  template <typename Fn>
  void parallel_for(int64_t n, int64_t grain, Fn&& fn) {  // the function is borrowed, not copied: nothing is allocated
    using F = std::remove_reference_t<Fn>;
    run(n, grain,
        {const_cast<void*>(static_cast<const void*>(&fn)), [](void* f, int64_t begin, int64_t end, int worker) { (*static_cast<F*>(f))(begin, end, worker); }});
  }

 private:
  struct Task {
    void* fn = nullptr;
    void (*call)(void* fn, int64_t begin, int64_t end, int worker) = nullptr;
  };
  void run(int64_t n, int64_t grain, Task task);
  void work(int worker);
  void end_workers();
  void run_ranges(int worker);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint32_t> epoch_{0};
  std::atomic<int> running_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<bool> stop_{false};
  int64_t n_ = 0;
  int64_t grain_ = 1;
  Task task_;
};

}  // namespace carat
