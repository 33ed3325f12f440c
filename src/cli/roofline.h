#pragma once
// What this machine's memory and arithmetic allow: the bounds that the speed of a model is held against.
#include <cstdint>

#include "kernels/kernels.h"

namespace carat::cli {

struct Roofline {
  int threads = 0;
  double read_gb_per_s = 0;  // 1e9 bytes, all threads together, of a buffer far beyond the caches, each thread its own contiguous part
  uint64_t read_bytes = 0;   // of that buffer
  double f32_gflops = 0;     // 1e9 operations, 2 a multiply-add, in registers
  double int8_gops = 0;      // the same for dots of bytes, widened to int32 at every step
  double seconds = 0;        // that measuring took
};

// The quickest of the passes that fit into `seconds_each` a figure: what others take of the machine meanwhile is no property of it.
// threads: 1..1024. Takes at most a quarter of `available` bytes (but 64 KiB a thread at least), at most 512 MiB. Throws std::bad_alloc when there is no memory for it.
Roofline measure_roofline(const kernels::KernelTable& table, int threads, uint64_t available, double seconds_each);

}  // namespace carat::cli
