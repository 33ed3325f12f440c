#include <fmt/format.h>

#include <algorithm>

#include "cli/console.h"
#include "cli/inspect_report.h"

namespace carat::cli {
namespace {

constexpr size_t kValueWidth = 100;  // longer values of metadata are cut

std::string bytes_text(double bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string count_text(double n) {
  if (n >= 1e9) return fmt::format("{:.2f} G", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.1f} M", n / 1e6);
  return fmt::format("{:.0f}", n);
}

std::string value_text(const Json& value) {
  std::string text;
  if (value.is_object()) {
    text = fmt::format("{}[{}] ", value["type"].get<std::string>(), value["length"].get<uint64_t>());
    const std::string first = value["first"].dump(-1, ' ', false, Json::error_handler_t::replace);
    text += first.substr(0, first.size() - 1) + ",...]";
  } else {
    text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  if (text.size() > kValueWidth) text = fmt::format("{}... ({} bytes)", text.substr(0, kValueWidth), text.size());
  return text;
}

std::string shape_text(const Json& shape) {
  if (shape.empty()) return "scalar";
  return fmt::format("{}", fmt::join(shape.get<std::vector<int64_t>>(), " x "));
}

void add_config(std::string& out, const Json& config) {
  out += "\nConfig\n";
  for (const auto& [key, value] : config.items()) {
    if (key == "layers" || value == 0 || value == "" || value.empty()) continue;
    out += fmt::format("  {:<30} {}\n", key, value_text(value));
  }
  // Layers that are alike are told together.
  const Json& layers = config["layers"];
  for (size_t first = 0; first < layers.size();) {
    size_t last = first;
    while (last + 1 < layers.size() && layers[last + 1] == layers[first]) ++last;
    const Json& layer = layers[first];
    const std::string range = first == last ? fmt::format("layer {}", first) : fmt::format("layers {}-{}", first, last);
    out += fmt::format("  {:<30} {}, {} heads, {} kv heads, head_dim {}, mlp {}{}{}\n", range, layer["attention"].get<std::string>(),
                       layer["num_attention_heads"].get<int>(), layer["num_key_value_heads"].get<int>(), layer["head_dim"].get<int>(),
                       layer["intermediate_size"].get<int64_t>(), layer["owns_kv"].get<bool>() ? "" : ", shares K/V",
                       layer["k_eq_v"].get<bool>() ? ", V = K" : "");
    first = last + 1;
  }
}

void add_template(std::string& out, const Json& chat_template) {
  const bool known = chat_template["format"].is_string();
  out += fmt::format("\nChat template: {}, {}\n", bytes_text(chat_template["bytes"].get<double>()),
                     known ? chat_template["format"].get<std::string>() : "none that Carat knows");
  for (const Json& difference : chat_template["differences"]) out += fmt::format("  {}\n", difference.get<std::string>());
}

void add_tensors(std::string& out, const Json& tensors) {
  size_t name_width = 4, shape_width = 5;
  for (const Json& tensor : tensors) {
    name_width = std::max(name_width, std::min<size_t>(60, tensor["name"].get_ref<const std::string&>().size()));
    shape_width = std::max(shape_width, shape_text(tensor["shape"]).size());
  }
  out += fmt::format("\nTensors ({})\n", tensors.size());
  for (const Json& tensor : tensors) {
    out += fmt::format("  {:<{}}  {:<6}  {:<{}}  {:>10}{}\n", tensor["name"].get_ref<const std::string&>(), name_width,
                       tensor["type"].get_ref<const std::string&>(), shape_text(tensor["shape"]), shape_width, bytes_text(tensor["bytes"].get<double>()),
                       tensor.contains("layout") ? "  " + tensor["layout"].get<std::string>() : "");
  }
}

void add_totals(std::string& out, const Json& totals) {
  const auto row = [&](const std::string& name, const Json& t) {
    out += fmt::format("  {:<8}  {:>6} tensors  {:>10} parameters  {:>10}\n", name, t["tensors"].get<int64_t>(), count_text(t["parameters"].get<double>()),
                       bytes_text(t["bytes"].get<double>()));
  };
  out += "\nTotals\n";
  for (const auto& [type, of_type] : totals["by_type"].items()) row(type, of_type);
  row("all", totals);
}

}  // namespace

std::string inspect_text(const Json& report) {
  std::string out = fmt::format("{}\n  {}, {}\n", report["path"].get<std::string>(), report["kind"] == "gguf" ? "GGUF" : "Hugging Face folder",
                                bytes_text(report["file_bytes"].get<double>()));
  if (!report["config"].is_null()) add_config(out, report["config"]);
  if (!report["metadata"].empty()) {
    out += fmt::format("\nMetadata ({})\n", report["metadata"].size());
    for (const auto& [key, value] : report["metadata"].items()) out += fmt::format("  {:<44} {}\n", key, value_text(value));
  }
  if (!report["chat_template"].is_null()) add_template(out, report["chat_template"]);
  add_tensors(out, report["tensors"]);
  add_totals(out, report["totals"]);
  out += "\nProblems\n";
  for (const Json& problem : report["problems"]) out += fmt::format("  {}\n", problem.get_ref<const std::string&>());
  if (report["problems"].empty()) out += "  none found\n";
  return terminal_safe(out);
}

}  // namespace carat::cli
