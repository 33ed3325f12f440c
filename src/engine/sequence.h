#pragma once
// Where a request stands. There is no prefill or decode phase: there is num_computed, and the scheduler narrows the gap to tokens.size().
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "engine/block_table.h"
#include "engine/request.h"
#include "engine/token_history.h"
#include "text/detokenizer.h"

namespace carat {

enum class SequenceState { waiting, running, finished };

struct Sequence {
  RequestId id = 0;
  Request request;              // token_ids moved into `tokens`
  std::vector<int32_t> tokens;  // prompt, then output
  int32_t num_prompt = 0;
  int32_t num_computed = 0;  // tokens whose K/V are in the cache
  int32_t max_length = 0;    // tokens.size() never passes this
  SequenceState state = SequenceState::waiting;
  SequenceBlocks blocks;

  // Prompt log-probabilities are collected once: a sequence that was preempted does not want them again.
  int32_t prompt_rows_done = 0;
  std::vector<std::optional<TokenLogprob>> prompt_logprobs;

  uint64_t seed = 0;
  std::optional<TokenHistory> history;  // with penalties only
  std::optional<Detokenizer> detokenizer;
  std::optional<StopMatcher> stop_matcher;
  int32_t cached_tokens = 0;
  bool admitted = false;
  std::chrono::steady_clock::time_point submitted;
  RequestOutput output;  // reused from event to event

  int32_t length() const { return static_cast<int32_t>(tokens.size()); }
  int32_t num_output() const { return length() - num_prompt; }
  bool wants_prompt_logprobs() const { return request.sampling.prompt_logprobs >= 0 && prompt_rows_done < num_prompt; }
};

}  // namespace carat
