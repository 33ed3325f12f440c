#pragma once
// What this machine is, as far as it matters to a model: read from /proc and /sys, nothing measured. What cannot be read is left out or 0.
#include <cstdint>
#include <string>
#include <vector>

namespace carat::cli {

struct CacheInfo {
  int level = 0;
  std::string type;  // "Data", "Instruction", "Unified"
  uint64_t bytes = 0;
  int shared_by = 1;  // logical CPUs
};

struct MachineInfo {
  std::string cpu;         // its name; empty: unknown
  int physical_cores = 0;  // online, whoever may use them
  int logical_cores = 0;
  int usable_threads = 0;             // what Carat takes without --threads: physical cores left by affinity and cgroup
  std::vector<std::string> features;  // of those that kernels use, what the CPU has
  std::string governor;               // "performance", "powersave"; empty: unknown
  std::vector<CacheInfo> caches;      // of the first CPU
  int numa_nodes = 1;
  uint64_t memory_total = 0, memory_available = 0, memory_limit = 0;  // limit: of its cgroups; 0: none
  uint64_t swap_total = 0, swap_used = 0;
  uint64_t page_size = 0;
  std::string huge_pages;  // "always", "madvise", "never"; empty: unknown
};

MachineInfo read_machine();

// "0-3,8": how many numbers that names.
int count_in_list(const std::string& list);

}  // namespace carat::cli
