#pragma once
// What is asked of the engine and what it answers.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace carat {

using RequestId = uint64_t;

struct SamplingParams {
  float temperature = 1.0f;         // 0: greedy, ties to the lowest id
  int32_t top_k = 0;                // 0: off
  float top_p = 1.0f;               // (0, 1]
  float min_p = 0.0f;               // [0, 1)
  float repetition_penalty = 1.0f;  // > 0; over prompt and output: logit > 0 ? logit / r : logit * r
  float frequency_penalty = 0.0f;   // over the output, times the count
  float presence_penalty = 0.0f;    // over the output, once
  std::map<int32_t, float> logit_bias;
  std::optional<uint64_t> seed;         // none: taken from the clock once a request
  int32_t max_tokens = -1;              // -1: until the context is full
  std::vector<std::string> stop;        // not part of the text
  std::vector<int32_t> stop_token_ids;  // besides the model's own; the token is in token_ids but not in the text
  bool ignore_eos = false;
  int32_t logprobs = -1;         // -1: none; K: of the token drawn and of the K best (0: the token alone)
  int32_t prompt_logprobs = -1;  // the same for the prompt's tokens; such a request takes no prefix hit
  bool show_special = false;     // control tokens appear in the text
  // Fails with invalid_argument, naming the field and its range.
  void validate(int32_t vocab_size) const;
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;                           // natural logarithm, of the model's distribution (suppressed tokens out, before penalties and temperature)
  std::vector<std::pair<int32_t, float>> top;  // best first, ties to the lowest id
};

enum class FinishReason { none, stop, length, cancelled, error };
const char* to_string(FinishReason r);

struct RequestOutput {
  RequestId id = 0;
  std::string text;                                          // new text of this event
  std::vector<int32_t> token_ids;                            // new tokens of this event
  std::vector<TokenLogprob> logprobs;                        // one a new token, when asked for
  std::vector<std::optional<TokenLogprob>> prompt_logprobs;  // on the event that ends the prompt, when asked for; [0] is empty
  std::optional<TokenLogprob> next;                          // with prompt_logprobs: the distribution after the last prompt token (id -1)
  FinishReason finish = FinishReason::none;
  std::string error;                                                    // with finish == error
  int32_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;  // so far
  double first_token_seconds = 0;                                       // from submit to the first token
};

struct Request {
  std::vector<int32_t> token_ids;  // the prompt, at least one
  SamplingParams sampling;
  std::vector<int32_t> resume_points;  // prompt lengths worth keeping a sliding window for (see KvPool)
  uint64_t cache_salt = 0;             // prefixes are shared only between equal salts
  bool use_prefix_cache = true;
  std::function<void(const RequestOutput&)> on_output;  // on the engine's thread; must not call back into the engine except cancel()
};

}  // namespace carat
