#include "engine/logit_rules.h"

#include <limits>

#include "base/error.h"

namespace carat {

void suppress(float* row, int32_t vocab_size, std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_size) row[id] = -std::numeric_limits<float>::infinity();
  }
}

void LogitRules::apply(float* row, int32_t vocab_size, const SamplingParams& params, const TokenHistory* history) {
  changed_.clear();
  for (const auto& [id, bias] : params.logit_bias) {
    if (id >= 0 && id < vocab_size) set(row, id, row[id] + bias);
  }
  if (!has_penalties(params)) return;
  check(history != nullptr, "penalties want a history");
  for (const int32_t id : history->seen()) {
    float x = row[id];
    x = x > 0 ? x / params.repetition_penalty : x * params.repetition_penalty;
    if (const int32_t n = history->output_count(id); n > 0) x -= params.frequency_penalty * static_cast<float>(n) + params.presence_penalty;
    set(row, id, x);
  }
}

void LogitRules::undo(float* row) {
  for (size_t i = changed_.size(); i-- > 0;) row[changed_[i].first] = changed_[i].second;
  changed_.clear();
}

}  // namespace carat
