#include "cli/doctor_machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/thread_pool.h"
#include "engine/memory_plan.h"

namespace carat::cli {
namespace {

constexpr const char* kCpus = "/sys/devices/system/cpu";
constexpr int kMostCpus = 4096;

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// "name : value" of a file of such lines.
std::string field(const char* file, std::string_view name) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(name)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

uint64_t kib_field(std::string_view name) { return std::strtoull(field("/proc/meminfo", name).c_str(), nullptr, 10) * 1024; }

// Hyper-threads of a core name the same siblings.
void count_cores(MachineInfo& m) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < kMostCpus; ++cpu) {
    const std::string folder = std::string(kCpus) + "/cpu" + std::to_string(cpu);
    std::error_code error;
    if (!std::filesystem::exists(folder, error)) break;
    if (first_line(folder + "/online") == "0") continue;
    const std::string siblings = first_line(folder + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
    ++m.logical_cores;
  }
  if (m.logical_cores == 0) m.logical_cores = static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  m.physical_cores = cores.empty() ? m.logical_cores : static_cast<int>(cores.size());
}

std::vector<std::string> features() {
  std::vector<std::string> list;
#if defined(__x86_64__)
  // The builtin wants a literal.
  if (__builtin_cpu_supports("avx2")) list.emplace_back("avx2");
  if (__builtin_cpu_supports("fma")) list.emplace_back("fma");
  if (__builtin_cpu_supports("f16c")) list.emplace_back("f16c");
  if (__builtin_cpu_supports("avxvnni")) list.emplace_back("avx_vnni");
  if (__builtin_cpu_supports("avx512f")) list.emplace_back("avx512f");
  if (__builtin_cpu_supports("avx512bw")) list.emplace_back("avx512bw");
  if (__builtin_cpu_supports("avx512vnni")) list.emplace_back("avx512_vnni");
  if (__builtin_cpu_supports("avx512bf16")) list.emplace_back("avx512_bf16");
#else
  std::istringstream words(field("/proc/cpuinfo", "Features"));
  for (std::string word; words >> word;) {
    if (word == "asimd" || word == "asimddp" || word == "asimdhp" || word == "i8mm" || word == "bf16" || word == "sve") list.push_back(word);
  }
#endif
  return list;
}

std::vector<CacheInfo> caches() {
  std::vector<CacheInfo> list;
  for (int i = 0; i < 8; ++i) {
    const std::string folder = std::string(kCpus) + "/cpu0/cache/index" + std::to_string(i);
    CacheInfo c;
    c.level = std::atoi(first_line(folder + "/level").c_str());
    if (c.level <= 0) break;
    c.type = first_line(folder + "/type");
    const std::string size = first_line(folder + "/size");  // "32K"
    char* unit = nullptr;
    c.bytes = std::strtoull(size.c_str(), &unit, 10);
    c.bytes <<= *unit == 'K' ? 10 : *unit == 'M' ? 20 : 0;
    c.shared_by = std::max(1, count_in_list(first_line(folder + "/shared_cpu_list")));
    list.push_back(c);
  }
  return list;
}

// "always [madvise] never" -> "madvise"
std::string chosen(const std::string& choices) {
  const size_t open = choices.find('['), close = choices.find(']');
  return open == std::string::npos || close == std::string::npos || close < open ? "" : choices.substr(open + 1, close - open - 1);
}

}  // namespace

int count_in_list(const std::string& list) {
  int count = 0;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0, last = 0;
    char dash = 0;
    std::istringstream in(part);
    if (!(in >> first) || first < 0) continue;
    if (!(in >> dash >> last) || dash != '-') last = first;
    if (last >= first && last < kMostCpus * 16) count += last - first + 1;
  }
  return count;
}

MachineInfo read_machine() {
  MachineInfo m;
  m.cpu = field("/proc/cpuinfo", "model name");
  count_cores(m);
  m.usable_threads = default_num_threads();
  m.features = features();
  m.governor = first_line(std::string(kCpus) + "/cpu0/cpufreq/scaling_governor");
  m.caches = caches();
  m.numa_nodes = std::max(1, count_in_list(first_line("/sys/devices/system/node/online")));
  m.memory_total = kib_field("MemTotal");
  m.memory_available = available_memory();
  m.memory_limit = cgroup_memory_limit();
  m.swap_total = kib_field("SwapTotal");
  m.swap_used = m.swap_total - std::min(m.swap_total, kib_field("SwapFree"));
  m.page_size = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  m.huge_pages = chosen(first_line("/sys/kernel/mm/transparent_hugepage/enabled"));
  return m;
}

}  // namespace carat::cli
