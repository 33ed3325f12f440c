#include "cli/sampling_options.h"

#include <CLI/CLI.hpp>

namespace carat::cli {
namespace {
constexpr float kTemperature = 1.0f, kTopP = 0.95f;
constexpr int32_t kTopK = 64;
}  // namespace

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  constexpr const char* kGroup = "Sampling";
  app.add_option("-n,--max-tokens", options.max_tokens, "at most so many tokens (default: until the context is full)")
      ->check(CLI::Range(0, 1 << 30))
      ->type_name("N")
      ->group(kGroup);
  app.add_option("--temperature", options.temperature, "0: greedy, ties to the lowest id")->check(CLI::Range(0.0f, 100.0f))->type_name("T")->group(kGroup);
  app.add_option("--top-k", options.top_k, "the K best tokens only; 0: all")->check(CLI::Range(0, 1 << 30))->type_name("K")->group(kGroup);
  app.add_option("--top-p", options.top_p, "the best tokens whose probabilities reach P")->check(CLI::Range(0.0f, 1.0f))->type_name("P")->group(kGroup);
  app.add_option("--min-p", options.min_p, "no token below P times the best one's probability")->check(CLI::Range(0.0f, 1.0f))->type_name("P")->group(kGroup);
  app.add_option("--seed", options.seed, "the same seed gives the same answer")->type_name("S")->group(kGroup);
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
