#pragma once
// The options that choose tokens, and what they are when they are not given.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace carat::cli {

struct SamplingOptions {
  int32_t max_tokens = -1;
  std::optional<float> temperature, top_p, min_p;
  std::optional<int32_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  int32_t logprobs = -1;
};

void add_sampling_options(CLI::App& app, SamplingOptions& options);

// What was given, else what the model's generation_config says, else temperature 1.0, top-k 64, top-p 0.95.
SamplingParams sampling_params(const SamplingOptions& options, const ModelConfig& config);

}  // namespace carat::cli
