#pragma once
// How fast this machine reads memory and computes, measured in about a second: an impression, not a benchmark (`carat bench` measures with care).
#include <cstdint>

namespace carat::cli {

struct MachineRates {
  int threads = 0;
  double read_gb_per_s = 0;  // 1e9 bytes, a buffer far beyond the caches
  uint64_t read_bytes = 0;   // of that buffer
  double f32_gflops = 0;     // 1e9 operations, 2 a multiply-add, by Carat's kernel for f32 matrices out of the caches
  double int8_gops = 0;      // the same for 4-bit matrices (Q4_K) times rows in int8
  double seconds = 0;        // that measuring took
};

// Takes at most a quarter of `available` bytes. Fails with exhausted when there is no memory for it.
MachineRates measure_rates(uint64_t available);

}  // namespace carat::cli
