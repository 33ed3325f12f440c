#pragma once
// What changes a row of logits before the draw, in this order: suppressed tokens, bias, penalties. Every change is noted and can be taken back, so that
// the model's own distribution stays at hand for the log-probabilities, without a copy of the row.
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "engine/request.h"
#include "engine/token_history.h"

namespace carat {

class LogitRules {
 public:
  // Ids outside the row are ignored. history may be null when no penalty is on.
  void apply(float* row, int32_t vocab_size, const SamplingParams& params, const TokenHistory* history);
  void undo(float* row);  // the row as it was before apply()

  static bool has_penalties(const SamplingParams& p) { return p.repetition_penalty != 1.0f || p.frequency_penalty != 0.0f || p.presence_penalty != 0.0f; }

 private:
  void set(float* row, int32_t id, float value) {
    changed_.emplace_back(id, row[id]);
    row[id] = value;
  }
  std::vector<std::pair<int32_t, float>> changed_;
};

// Sets the logits of tokens that are never produced to -infinity, for good.
void suppress(float* row, int32_t vocab_size, std::span<const int32_t> ids);

}  // namespace carat
