#include "cli/sampling_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/console.h"

namespace carat::cli {
namespace {
constexpr float kTemperature = 1.0f, kTopP = 0.95f;
constexpr int32_t kTopK = 64;

// The engine's own ranges, so that what is outside is wrong usage and shows before a model is loaded. Written so that NaN fails.
CLI::Validator real_between(float low, bool low_too, float high, bool high_too) {
  const std::string range = fmt::format("{}{} to {}{}", low_too ? "" : "above ", low, high_too ? "" : "below ", high);
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        float value = 0;
        const bool number = CLI::detail::lexical_cast(text, value);
        const bool ok = number && (low_too ? value >= low : value > low) && (high_too ? value <= high : value < high);
        return ok ? std::string() : fmt::format("{} is no number from {}", terminal_safe(text), range);
      },
      std::string());
}

CLI::Validator no_sign() {
  return CLI::Validator(
      [](std::string& text) { return text.starts_with('-') ? text + " is negative; leave --seed out for a new answer each time" : std::string(); },
      std::string());
}
}  // namespace

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  constexpr const char* kGroup = "Sampling";
  app.add_option("-n,--max-tokens", options.max_tokens, "at most so many tokens (default: until the context is full)")
      ->check(CLI::Range(0, 1 << 30))
      ->type_name("N")
      ->group(kGroup);
  app.add_option("--temperature", options.temperature, "0: greedy, ties to the lowest id")
      ->check(real_between(0, true, 100, true))
      ->type_name("T")
      ->group(kGroup);
  app.add_option("--top-k", options.top_k, "the K best tokens only; 0: all")->check(CLI::Range(0, 1 << 30))->type_name("K")->group(kGroup);
  app.add_option("--top-p", options.top_p, "the best tokens whose probabilities reach P")
      ->check(real_between(0, false, 1, true))
      ->type_name("P")
      ->group(kGroup);
  app.add_option("--min-p", options.min_p, "no token below P times the best one's probability")
      ->check(real_between(0, true, 1, false))
      ->type_name("P")
      ->group(kGroup);
  app.add_option("--seed", options.seed, "the same seed gives the same answer")->check(no_sign())->type_name("S")->group(kGroup);
  app.add_option("--stop", options.stop, "end before this text; may be repeated")->allow_extra_args(false)->group(kGroup);
  app.add_flag("--ignore-eos", options.ignore_eos, "go on after the model's own end")->group(kGroup);
  app.add_option("--logprobs", options.logprobs, "with --json: log-probabilities, and the K best of each position")
      ->check(CLI::Range(0, 1 << 30))
      ->type_name("K")
      ->group(kGroup);
}

SamplingParams sampling_params(const SamplingOptions& options, const ModelConfig& config) {
  SamplingParams params;
  params.temperature = options.temperature.value_or(config.default_temperature >= 0 ? config.default_temperature : kTemperature);
  params.top_k = options.top_k.value_or(config.default_top_k >= 0 ? config.default_top_k : kTopK);
  params.top_p = options.top_p.value_or(config.default_top_p >= 0 ? config.default_top_p : kTopP);
  params.min_p = options.min_p.value_or(0.0f);
  params.seed = options.seed;
  params.max_tokens = options.max_tokens;
  params.stop = options.stop;
  params.ignore_eos = options.ignore_eos;
  params.logprobs = options.logprobs;
  return params;
}

}  // namespace carat::cli
