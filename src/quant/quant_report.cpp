#include "quant/quant_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

namespace carat::quant {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

uint64_t bytes_before(const PlannedTensor& t) { return static_cast<uint64_t>(row_bytes(t.source->dtype, t.source->cols()) * t.source->rows()); }

// The tensors that went from one type to another.
struct Group {
  int64_t tensors = 0, elements = 0;
  uint64_t before = 0, after = 0;
  TensorError error;
  double worst = -1;
  std::string worst_name;
};

std::map<std::pair<DType, DType>, Group> groups_of(const QuantReport& report) {
  std::map<std::pair<DType, DType>, Group> groups;
  for (size_t i = 0; i < report.plan->tensors.size(); ++i) {
    const PlannedTensor& t = report.plan->tensors[i];
    Group& g = groups[{t.source->dtype, t.type.type}];
    ++g.tensors;
    g.elements += t.elements, g.before += bytes_before(t), g.after += t.bytes;
    if (report.results.empty()) continue;
    g.error.add(report.results[i].error);
    const double rmse = report.results[i].error.relative_rmse();
    if (rmse > g.worst) g.worst = rmse, g.worst_name = t.source->name;
  }
  return groups;
}

void add_error(Json& out, const TensorError& error) {
  out["relative_rmse"] = error.relative_rmse();
  out["max_abs_error"] = error.largest;
  out["cosine"] = error.cosine();
}

Json tensor_json(const QuantReport& report, size_t i) {
  const PlannedTensor& t = report.plan->tensors[i];
  Json out = {{"name", t.source->name}, {"from", lower(info(t.source->dtype).name)}, {"to", lower(info(t.type.type).name)},
              {"elements", t.elements}, {"bytes_before", bytes_before(t)},           {"bytes", t.bytes}};
  if (t.type.type != t.type.wanted) out["instead_of"] = lower(info(t.type.wanted).name);
  if (report.results.empty()) return out;
  out["calibrated"] = report.results[i].weighted;
  add_error(out, report.results[i].error);
  return out;
}

Json divergence_json(const Divergence& d) {
  return {{"positions", d.positions},
          {"kl", {{"mean", d.mean}, {"median", d.median}, {"p99", d.p99}, {"max", d.largest}}},
          {"same_top1", d.same_best},
          {"perplexity", {{"before", d.perplexity_before}, {"after", d.perplexity_after}}}};
}

std::string size_text(uint64_t bytes) {
  const auto b = static_cast<double>(bytes);
  return bytes < 1'000'000 ? fmt::format("{:.1f} kB", b / 1e3) : bytes < 1'000'000'000 ? fmt::format("{:.1f} MB", b / 1e6) : fmt::format("{:.2f} GB", b / 1e9);
}

std::string percent(double share) { return fmt::format("{:.3f} %", 100 * share); }

void add_tensor_lines(std::string& out, const QuantReport& report) {
  size_t width = 6;
  for (const PlannedTensor& t : report.plan->tensors) width = std::max(width, t.source->name.size());
  for (size_t i = 0; i < report.plan->tensors.size(); ++i) {
    const PlannedTensor& t = report.plan->tensors[i];
    out += fmt::format("{:<{}}  {:<6} {:<6}  {:>10}", t.source->name, width, info(t.source->dtype).name, info(t.type.type).name, size_text(t.bytes));
    if (!report.results.empty()) out += fmt::format("  {:>9}", percent(report.results[i].error.relative_rmse()));
    if (t.type.type != t.type.wanted) out += fmt::format("  instead of {}", info(t.type.wanted).name);
    out += '\n';
  }
  out += '\n';
}

}  // namespace

Json report_json(const QuantReport& report) {
  Json tensors = Json::array(), by_type = Json::array();
  TensorError all;
  for (size_t i = 0; i < report.plan->tensors.size(); ++i) {
    tensors.push_back(tensor_json(report, i));
    if (!report.results.empty()) all.add(report.results[i].error);
  }
  for (const auto& [types, group] : groups_of(report)) {
    Json g = {{"from", lower(info(types.first).name)},
              {"to", lower(info(types.second).name)},
              {"tensors", group.tensors},
              {"elements", group.elements},
              {"bytes_before", group.before},
              {"bytes", group.after}};
    if (!report.results.empty()) add_error(g, group.error);
    by_type.push_back(std::move(g));
  }
  Json totals = {{"tensors", report.plan->tensors.size()}, {"elements", report.plan->elements},
                 {"bytes", report.plan->tensor_bytes},     {"bits_per_weight", report.plan->bits_per_weight()},
                 {"fallbacks", report.plan->fallbacks},    {"by_type", std::move(by_type)}};
  if (!report.results.empty()) add_error(totals, all);
  Json out = {{"input", report.input}, {"output", report.output}, {"type", report.type}, {"packed", report.plan->packed}, {"written", !report.results.empty()}};
  out["bytes"] = {{"before", report.bytes_before}, {"after", report.plan->file_bytes}};
  if (!report.results.empty()) out["seconds"] = report.seconds;
  out["calibration"] = report.calibration_tokens > 0 ? Json{{"tokens", report.calibration_tokens}} : Json(nullptr);
  out["divergence"] = report.divergence ? divergence_json(*report.divergence) : Json(nullptr);
  out["totals"] = std::move(totals);
  out["tensors"] = std::move(tensors);
  return out;
}

std::string report_text(const QuantReport& report, bool each_tensor) {
  std::string out;
  if (each_tensor) add_tensor_lines(out, report);
  const bool measured = !report.results.empty();
  out += fmt::format("{:<6} {:<6}  {:>7}  {:>10}  {:>10}{}\n", "from", "to", "tensors", "before", "after", measured ? "      error  worst" : "");
  TensorError all;
  for (const auto& [types, g] : groups_of(report)) {
    out +=
        fmt::format("{:<6} {:<6}  {:>7}  {:>10}  {:>10}", info(types.first).name, info(types.second).name, g.tensors, size_text(g.before), size_text(g.after));
    if (measured && g.error.dd > 0) out += fmt::format("  {:>9}  {} {}", percent(g.error.relative_rmse()), g.worst_name, percent(g.worst));
    out += '\n';
    all.add(g.error);
  }
  out += fmt::format("\n{} -> {}, {:.2f} bits per weight", size_text(report.bytes_before), size_text(report.plan->file_bytes), report.plan->bits_per_weight());
  if (measured) out += fmt::format(", error {} of the weights' root mean square", percent(all.relative_rmse()));
  out += '\n';
  if (report.plan->packed) out += "matrices are in panels, to be used where they lie in the file: only Carat reads it\n";
  if (report.plan->fallbacks > 0)
    out += fmt::format("{} tensors have rows that are no whole blocks of the type they should get, and got another\n", report.plan->fallbacks);
  if (report.calibration_tokens > 0) out += fmt::format("calibrated on {} tokens\n", report.calibration_tokens);
  if (report.divergence) {
    const Divergence& d = *report.divergence;
    out += fmt::format(
        "KL divergence on {} positions: mean {:.5f}, median {:.5f}, 99 % below {:.5f}; same most likely token {:.1f} %; perplexity {:.3f} -> {:.3f}\n",
        d.positions, d.mean, d.median, d.p99, 100 * d.same_best, d.perplexity_before, d.perplexity_after);
  } else if (measured) {
    out += "KL divergence was not measured: give a text with --kl-text\n";
  }
  return out;
}

}  // namespace carat::quant
