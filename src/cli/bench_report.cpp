#include "cli/bench_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/console.h"
#include "engine/memory_plan.h"

namespace carat::cli {
namespace {

double tokens_per_second(const Phase& phase, double seconds) { return static_cast<double>(phase.tokens) / seconds; }

// Of the time a repeat took, what the machine at its best, as it was then, would have needed for the operations, and for the bytes.
double flops_share(const Phase& phase, const Repeat& r) {
  return (phase.work.int8_ops / r.beside.int8_gops + phase.work.f32_ops / r.beside.f32_gflops) / 1e9 / r.seconds;
}
double bandwidth_share(const Phase& phase, const Repeat& r) { return phase.work.bytes / r.beside.read_gb_per_s / 1e9 / r.seconds; }

double median_flops_share(const Phase& phase) {
  return phase.median([&](const Repeat& r) { return flops_share(phase, r); });
}
double median_bandwidth_share(const Phase& phase) {
  return phase.median([&](const Repeat& r) { return bandwidth_share(phase, r); });
}

// What the machine allowed while all of it was measured.
Rates median_rates(const BenchResult& result) {
  Phase both;
  for (const Phase* phase : {&result.prefill, &result.decode}) both.repeats.insert(both.repeats.end(), phase->repeats.begin(), phase->repeats.end());
  return {both.median([](const Repeat& r) { return r.beside.read_gb_per_s; }), both.median([](const Repeat& r) { return r.beside.f32_gflops; }),
          both.median([](const Repeat& r) { return r.beside.int8_gops; })};
}

struct Range {
  double least = 0, most = 0;  // seconds
};
Range range_of(const Phase& phase) {
  const auto [least, most] =
      std::minmax_element(phase.repeats.begin(), phase.repeats.end(), [](const Repeat& a, const Repeat& b) { return a.seconds < b.seconds; });
  return {least->seconds, most->seconds};
}

Json repeats_json(const Phase& phase) {
  Json repeats = Json::array();
  for (const Repeat& r : phase.repeats)
    repeats.push_back({{"seconds", r.seconds}, {"read_gb_per_s", r.beside.read_gb_per_s}, {"gflops", r.beside.f32_gflops}, {"int8_gops", r.beside.int8_gops}});
  return repeats;
}

Json phase_json(const Phase& phase) {
  if (phase.repeats.empty()) return {{"tokens_per_s", nullptr}};
  const auto [least, most] = range_of(phase);
  return {{"tokens_per_s", tokens_per_second(phase, phase.median_seconds())},
          {"lowest", tokens_per_second(phase, most)},
          {"highest", tokens_per_second(phase, least)},
          {"tokens", phase.tokens},
          {"steps", phase.steps},
          {"seconds", phase.median_seconds()},
          {"int8_ops", phase.work.int8_ops},
          {"f32_ops", phase.work.f32_ops},
          {"repeats", repeats_json(phase)}};
}

std::string line(std::string_view what, const std::string& value) { return fmt::format("{:<14} {}\n", what, value); }

std::string rate_text(const Phase& phase) {
  const auto [least, most] = range_of(phase);
  return fmt::format("{:8.1f} tokens/s ({:.1f} to {:.1f})", tokens_per_second(phase, phase.median_seconds()), tokens_per_second(phase, most),
                     tokens_per_second(phase, least));
}

}  // namespace

Json bench_json(const BenchOptions& options, const BenchResult& result) {
  const Rates r = median_rates(result);
  Json prefill = phase_json(result.prefill), decode = phase_json(result.decode);
  prefill["flops_share"] = result.prefill.repeats.empty() ? Json() : Json(median_flops_share(result.prefill));
  if (result.decode.repeats.empty()) {
    decode["bytes_per_token"] = decode["bandwidth_share"] = nullptr;
  } else {
    decode["bytes_per_token"] = result.decode.work.bytes / static_cast<double>(result.decode.steps);
    decode["bandwidth_share"] = median_bandwidth_share(result.decode);
    decode["flops_share"] = median_flops_share(result.decode);
  }
  return {{"model", options.model.model},
          {"cpu", result.cpu},
          {"isa", result.isa},
          {"threads", result.threads},
          {"depth", options.depth},
          {"parallel", options.parallel},
          {"repeat", options.repeat},
          {"kv", options.model.kv},
          {"ctx", result.ctx},
          {"prefill", prefill},
          {"decode", decode},
          {"load_s", result.load_seconds},
          {"first_token_s", result.first_token_seconds},
          {"peak_rss_bytes", result.peak_memory},
          {"roofline", {{"read_gb_per_s", r.read_gb_per_s}, {"gflops", r.f32_gflops}, {"int8_gops", r.int8_gops}, {"read_bytes", result.read_bytes}}}};
}

std::string bench_text(const BenchOptions& options, const BenchResult& result) {
  const Rates r = median_rates(result);
  std::string text = fmt::format("{} on {}, {}, {} threads, cache in {}\n\n", terminal_safe(options.model.model), terminal_safe(result.cpu), result.isa,
                                 result.threads, options.model.kv);
  const std::string behind = options.depth > 0 ? fmt::format(", behind {} tokens", options.depth) : "";
  if (!result.prefill.repeats.empty()) {
    text += line(fmt::format("prefill {}", result.prefill.tokens),
                 fmt::format("{}   {:.0f} % of what the arithmetic allows{}", rate_text(result.prefill), 100 * median_flops_share(result.prefill), behind));
  }
  if (!result.decode.repeats.empty()) {
    text += line(fmt::format("decode {}", options.tokens),
                 fmt::format("{}   {:.0f} % of what the memory allows{}{}", rate_text(result.decode), 100 * median_bandwidth_share(result.decode),
                             options.parallel > 1 ? fmt::format(", {} sequences together", options.parallel) : "", behind));
    text += line("a step reads", format_bytes(static_cast<uint64_t>(result.decode.work.bytes / static_cast<double>(result.decode.steps))));
  }
  text += line("load", fmt::format("{:8.2f} s", result.load_seconds));
  text += line("first token", fmt::format("{:8.2f} s after the start", result.first_token_seconds));
  text += line("peak memory", format_bytes(result.peak_memory));
  text += line("this machine", fmt::format("reads {:.1f} GB/s; computes {:.0f} G/s in int8, {:.0f} G/s in f32", r.read_gb_per_s, r.int8_gops, r.f32_gflops));
  return text;
}

}  // namespace carat::cli
