#include "cli/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/error.h"
#include "cli/doctor_machine.h"
#include "cli/model_name.h"
#include "cli/roofline.h"
#include "hub/late_library.h"
#include "hub/settings.h"
#include "hub/store.h"
#include "kernels/kernels.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kGiB = uint64_t{1} << 30;

Json words(std::string_view text) {
  Json list = Json::array();
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) list.push_back(std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json cpu_of(const MachineInfo& m) {
  Json caches = Json::array();
  for (const CacheInfo& c : m.caches) caches.push_back({{"level", c.level}, {"type", c.type}, {"bytes", c.bytes}, {"shared_by", c.shared_by}});
  Json usable = Json::array();
  const kernels::TableList tables = kernels::available_tables();
  for (int i = 0; i < tables.count; ++i) usable.push_back(tables.tables[i]->name);
  return {{"name", or_null(m.cpu)},
          {"physical_cores", m.physical_cores},
          {"logical_cores", m.logical_cores},
          {"threads", m.usable_threads},
          {"features", m.features},
          {"isa", kernels::find_table("")->name},
          {"isa_usable", usable},
          {"isa_built", words(kernels::built_tables())},
          {"caches", caches},
          {"numa_nodes", m.numa_nodes},
          {"governor", or_null(m.governor)}};
}

Json memory_of(const MachineInfo& m) {
  return {{"total", m.memory_total},
          {"available", m.memory_available},
          {"cgroup_limit", m.memory_limit > 0 ? Json(m.memory_limit) : Json()},
          {"swap", m.swap_total},
          {"swap_used", m.swap_used},
          {"page", m.page_size},
          {"huge_pages", or_null(m.huge_pages)}};
}

// Free bytes of the file system that a folder is on, or would be.
Json free_bytes(fs::path folder) {
  std::error_code error;
  while (!folder.empty() && !fs::exists(folder, error) && folder != folder.parent_path()) folder = folder.parent_path();
  const fs::space_info space = fs::space(folder, error);
  return error ? Json() : Json(static_cast<uint64_t>(space.available));
}

// A broken setting or store is something to report, not a reason to say nothing.
Json store_of(std::vector<std::string>& advice) {
  Json models = Json::array();
  Json store = {{"path", nullptr}, {"free", nullptr}, {"carat_home", nullptr}};
  try {
    const hub::Settings settings = hub::settings_from_environment();
    store = {{"path", settings.cache.string()}, {"free", free_bytes(settings.cache)}, {"carat_home", settings.carat_home.string()}};
    if (const fs::path own = default_model("gemma3:270m"); !own.empty()) {
      std::error_code error;
      models.push_back({{"name", "gemma3:270m"}, {"path", own.string()}, {"bytes", static_cast<uint64_t>(fs::file_size(own, error))}});
    }
    const hub::NameTable names = hub::NameTable::load(settings.carat_home);
    for (const hub::StoredModel& model : hub::read_store(hub::Layout{settings.cache}).models)
      models.push_back({{"name", hub::display_name(names, model)}, {"path", model.path.string()}, {"bytes", model.size()}});
  } catch (const Error& error) {
    advice.push_back(error.what());
  }
  store["models"] = models;
  return store;
}

Json part(const char* name, const char* what, bool here, const std::string& mend) {
  return {{"name", name}, {"what", what}, {"here", here}, {"mend", here ? Json() : Json(mend)}};
}

bool library_here(const char* file, const char* package) {
  try {
    const hub::LateLibrary library(file, package);
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool beside_program(const char* name) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return !error && fs::exists(program.parent_path() / name, error);
}

Json parts() {
  return Json::array({part("libcurl", "downloads", library_here("libcurl.so.4", "libcurl4"), "apt-get install libcurl4"),
                      part("libcrypto", "downloads held against their digests", library_here("libcrypto.so.3", "libssl3"), "apt-get install libssl3"),
                      part("carat-template", "chat templates that Carat does not know", beside_program("carat-template"),
                           "get cargo 1.85 or newer (apt-get install cargo-web rustc-web), remove build/, and ./dev build")});
}

void advise(const MachineInfo& m, const Json& store, const Json& parts, std::vector<std::string>& advice) {
  if (m.usable_threads < m.physical_cores)
    advice.push_back(fmt::format("{} of {} cores may be used: the cgroup's cpu quota or the affinity says so", m.usable_threads, m.physical_cores));
  if (m.logical_cores > m.physical_cores) advice.push_back("hyper-threads add nothing to matrix products: --threads stays at the physical cores");
#if defined(__x86_64__)
  const auto has = [&](const char* feature) { return std::find(m.features.begin(), m.features.end(), feature) != m.features.end(); };
  if (!has("avx2") || !has("fma"))
    advice.push_back("this CPU has no AVX2: the plain kernels run, many times slower; a virtual machine may be hiding it (cpu type host)");
  else if (!has("avx512f"))
    advice.push_back("AVX-512 is not there or switched off: with it prompts are computed about twice as fast");
#endif
  if (m.governor == "powersave") advice.push_back("the CPU's governor is powersave: cpupower frequency-set -g performance makes it run at full speed");
  if (m.numa_nodes > 1)
    advice.push_back(
        fmt::format("{} NUMA nodes: numactl --cpunodebind=0 --membind=0 keeps threads and weights together when a model fits into one", m.numa_nodes));
  if (m.memory_limit > 0 && m.memory_limit < m.memory_total)
    advice.push_back(fmt::format("a cgroup limits memory to {:.1f} GiB of the machine's {:.1f}: plans respect it", static_cast<double>(m.memory_limit) / kGiB,
                                 static_cast<double>(m.memory_total) / kGiB));
  if (m.swap_used > kGiB / 4)
    advice.push_back(fmt::format("{:.1f} GiB are swapped out: close what else runs before a model is loaded", static_cast<double>(m.swap_used) / kGiB));
  if (m.memory_available < kGiB) advice.push_back("less than 1 GiB of memory is available: only the smallest models fit");
  if (store["free"].is_number() && store["free"].get<uint64_t>() < 5 * kGiB)
    advice.push_back("less than 5 GiB are free where models are kept: carat rm, or HF_HOME on another disk");
  if (store["models"].empty()) advice.push_back("no model is here: ./dev model gets a small one, carat pull others");
  for (const Json& p : parts) {
    if (!p["here"].get<bool>())
      advice.push_back(fmt::format("no {} ({}): {}", p["what"].get<std::string>(), p["name"].get<std::string>(), p["mend"].get<std::string>()));
  }
}

Json rates_of(const MachineInfo& m, std::vector<std::string>& advice) {
  try {
    constexpr double kSecondsEach = 0.15;  // an impression; carat bench takes longer
    const Roofline r = measure_roofline(*kernels::find_table(""), m.usable_threads, m.memory_available, kSecondsEach);
    return {{"brief", true},
            {"threads", r.threads},
            {"read_gb_per_s", r.read_gb_per_s},
            {"read_bytes", r.read_bytes},
            {"f32_gflops", r.f32_gflops},
            {"int8_gops", r.int8_gops},
            {"seconds", r.seconds}};
  } catch (const std::bad_alloc&) {
    advice.emplace_back("there was no memory to measure speeds with");
    return {};
  }
}

}  // namespace

Json examine_machine(bool measure) {
  const MachineInfo m = read_machine();
  std::vector<std::string> advice;
  Json report = {{"cpu", cpu_of(m)}, {"memory", memory_of(m)}};
  report["rates"] = measure ? rates_of(m, advice) : Json();
  report["store"] = store_of(advice);
  report["parts"] = parts();
  advise(m, report["store"], report["parts"], advice);
  report["advice"] = advice;
  return report;
}

}  // namespace carat::cli
