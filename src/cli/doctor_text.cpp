// The report of doctor for people.
#include <fmt/format.h>

#include "cli/console.h"
#include "cli/doctor_report.h"
#include "cli/terminal/progress.h"
#include "engine/memory_plan.h"

namespace carat::cli {
namespace {

// Memory in powers of two, as the system counts it; disks and files in powers of ten.
std::string size(const Json& bytes) { return bytes.is_number() ? format_bytes(bytes.get<uint64_t>()) : "unknown"; }
std::string disk_size(const Json& bytes) { return bytes.is_number() ? readable_bytes(bytes.get<double>()) : "unknown"; }
std::string text(const Json& value) { return value.is_string() ? terminal_safe(value.get<std::string>()) : "unknown"; }

std::string joined(const Json& list) {
  std::string out;
  for (const Json& word : list) {
    if (!out.empty()) out += ' ';
    out += text(word);
  }
  return out.empty() ? "none" : out;
}

std::string line(std::string_view what, const std::string& value) { return fmt::format("{:<16} {}\n", what, value); }

std::string caches(const Json& list) {
  std::string out;
  for (const Json& c : list) {
    if (c["type"] == "Instruction") continue;
    const int shared = c["shared_by"].get<int>();
    out += fmt::format("{}L{} {}{}", out.empty() ? "" : ", ", c["level"].get<int>(), size(c["bytes"]), shared > 1 ? fmt::format(" for {} CPUs", shared) : "");
  }
  return out.empty() ? "unknown" : out;
}

std::string machine(const Json& cpu, const Json& memory) {
  std::string out = line("processor", text(cpu["name"]));
  out += line("cores", fmt::format("{} physical, {} logical; {} threads are used", cpu["physical_cores"].get<int>(), cpu["logical_cores"].get<int>(),
                                   cpu["threads"].get<int>()));
  out += line("instructions", fmt::format("{} (this CPU has: {})", text(cpu["isa"]), joined(cpu["features"])));
  out += line("caches", caches(cpu["caches"]));
  if (cpu["numa_nodes"].get<int>() > 1) out += line("NUMA nodes", std::to_string(cpu["numa_nodes"].get<int>()));
  if (cpu["governor"].is_string()) out += line("governor", text(cpu["governor"]));
  out += line("memory", fmt::format("{}, available {}{}", size(memory["total"]), size(memory["available"]),
                                    memory["cgroup_limit"].is_number() ? fmt::format(", limited to {}", size(memory["cgroup_limit"])) : ""));
  out += line("swap", memory["swap"] == 0 ? "none" : fmt::format("{}, {} in use", size(memory["swap"]), size(memory["swap_used"])));
  out += line("pages", fmt::format("{}, huge pages: {}", size(memory["page"]), text(memory["huge_pages"])));
  return out;
}

std::string speeds(const Json& rates) {
  if (!rates.is_object()) return "";
  return line("memory speed", fmt::format("{:.1f} GB/s read", rates["read_gb_per_s"].get<double>())) +
         line("arithmetic",
              fmt::format("{:.0f} G/s in f32, {:.0f} G/s in int8, at most", rates["f32_gflops"].get<double>(), rates["int8_gops"].get<double>())) +
         line("", fmt::format("measured in {:.1f} s with {} threads: an impression", rates["seconds"].get<double>(), rates["threads"].get<int>()));
}

std::string models(const Json& store) {
  std::string out = line("models in", fmt::format("{} ({} free)", text(store["path"]), disk_size(store["free"])));
  out += line("Carat's files in", text(store["carat_home"]));
  for (const Json& model : store["models"]) out += line("model", fmt::format("{}  {}", text(model["name"]), disk_size(model["bytes"])));
  return out;
}

}  // namespace

std::string doctor_text(const Json& report) {
  std::string out = machine(report["cpu"], report["memory"]) + speeds(report["rates"]) + "\n" + models(report["store"]) + "\n";
  for (const Json& part : report["parts"]) out += line(part["name"].get<std::string>(), part["here"].get<bool>() ? "here" : "missing");
  if (!report["advice"].empty()) out += "\n";
  for (const Json& advice : report["advice"]) out += fmt::format("- {}\n", text(advice));
  return out;
}

}  // namespace carat::cli
