// What the machine, its cgroups and this process's limits leave.
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "engine/memory_plan.h"

namespace carat {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kMargin = uint64_t{64} << 20;  // left to the rest of the machine

// "MemAvailable:  123 kB" of a file of such lines.
uint64_t field_kib(const char* file, std::string_view name, uint64_t otherwise) {
  std::ifstream in(file);
  std::string word;
  uint64_t kib = 0;
  while (in >> word) {
    if (word == name && in >> kib) return kib * 1024;
  }
  return otherwise;
}

uint64_t number_in(const std::string& file, uint64_t otherwise) {
  std::ifstream in(file);
  uint64_t n = 0;
  return in >> n ? n : otherwise;  // "max" is no number
}

struct CgroupMemory {
  uint64_t limit = kUnlimited;
  uint64_t left = kUnlimited;
};

CgroupMemory read_cgroup(const std::string& folder, const char* limit_name, const char* usage_name, std::string_view cache_name) {
  const uint64_t limit = number_in(folder + "/" + limit_name, kUnlimited);
  if (limit >= kUnlimited / 4) return {};  // version 1 says "none" by a number that large
  uint64_t used = number_in(folder + "/" + usage_name, 0);
  std::ifstream stat(folder + "/memory.stat");
  std::string word;
  uint64_t n = 0;
  while (stat >> word >> n) {
    if (word == cache_name) used -= std::min(used, n);  // file cache gives way
  }
  return {limit, limit - std::min(limit, used)};
}

// The tightest limits of this process's cgroup and all above it, of either version.
CgroupMemory cgroup_memory() {
  CgroupMemory least;
  std::ifstream in("/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers != "memory") continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (std::string path = line.substr(second + 1);; path = path.substr(0, path.rfind('/'))) {
      const std::string folder = root + (path == "/" ? "" : path);
      const CgroupMemory here = v2 ? read_cgroup(folder, "memory.max", "memory.current", "inactive_file")
                                   : read_cgroup(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
      least.limit = std::min(least.limit, here.limit);
      least.left = std::min(least.left, here.left);
      if (path.empty() || path == "/" || path.find('/') == std::string::npos) break;
    }
  }
  return least;
}

// Address space this process may still take: a mapping is refused beyond it, whether touched or not.
uint64_t address_space_left() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  const uint64_t left = limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, field_kib("/proc/self/status", "VmSize:", 0));
  return left / 4 * 3;  // mappings are coarser than what is touched in them: arenas grow in steps, malloc maps 64 MiB for each thread
}

}  // namespace

uint64_t available_memory() {
  const uint64_t machine = field_kib("/proc/meminfo", "MemAvailable:", uint64_t{1} << 30);
  return std::min({machine, cgroup_memory().left, address_space_left()});
}

uint64_t cgroup_memory_limit() {
  const uint64_t limit = cgroup_memory().limit;
  return limit == kUnlimited ? 0 : limit;
}

uint64_t resident_memory() { return field_kib("/proc/self/status", "VmRSS:", 0); }
uint64_t peak_resident_memory() { return field_kib("/proc/self/status", "VmHWM:", 0); }

uint64_t memory_allowance(uint64_t limit) {
  const uint64_t left = available_memory();
  const uint64_t machine = resident_memory() + left - std::min(left, kMargin);
  return limit > 0 ? std::min(limit, machine) : machine;
}

}  // namespace carat
