#pragma once
// What this machine's memory and arithmetic allow: the bounds that the speed of a model is held against.
#include <cstdint>

#include "base/pages.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace carat::cli {

struct Rates {
  double read_gb_per_s = 0;  // 1e9 bytes, all threads together, of a buffer far beyond the caches, each thread its own contiguous part
  double f32_gflops = 0;     // 1e9 operations, 2 a multiply-add, in registers
  double int8_gops = 0;      // the same for dots of bytes, widened to int32 at every step
};

struct Roofline : Rates {
  int threads = 0;
  uint64_t read_bytes = 0;  // of the buffer
  double seconds = 0;       // that measuring took
};

// Measures again and again: what a machine that others use too allows moves within minutes. Its buffer is touched, and stays in memory as long as it lives.
class RooflineMeter {
 public:
  // threads: 1..1024. The buffer is at most a quarter of `available` bytes (but 64 KiB a thread at least), at most 512 MiB. Throws std::bad_alloc when there is no
  // memory for it.
  RooflineMeter(const kernels::KernelTable& table, int threads, uint64_t available);

  // The quickest of the passes that fit into `seconds_each` a figure, three at least: what others take of the machine for a moment is no property of it.
  Rates measure(double seconds_each);
  uint64_t read_bytes() const { return static_cast<uint64_t>(part_) * static_cast<uint64_t>(pool_.num_threads()); }

 private:
  double read_rate(double seconds);
  double spin_rate(int64_t (*spin)(int64_t turns), int64_t& turns, double seconds);

  const kernels::KernelTable& table_;
  ThreadPool pool_;
  PageBuffer buffer_;
  int64_t part_ = 0;                        // bytes that each thread reads, whole pages
  int way_ = -1;                            // of reading, the quickest here; -1: not known yet
  int64_t turns_f32_ = 0, turns_int8_ = 0;  // of a pass; 0: not known yet
};

// Once, with a meter of its own.
Roofline measure_roofline(const kernels::KernelTable& table, int threads, uint64_t available, double seconds_each);

}  // namespace carat::cli
