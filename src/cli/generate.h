#pragma once
// One request run to its end on the engine of a session.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "chat/conversation.h"
#include "cli/model_options.h"
#include "engine/request.h"

namespace carat::cli {

struct Generation {
  std::string text;           // of all tokens
  Json message;               // {"content", "reasoning", "tool_calls"}
  std::string finish_reason;  // "stop", "length", "tool_calls", ...
  std::vector<int32_t> token_ids;
  bool logprobs_asked = false;
  std::vector<TokenLogprob> logprobs;
  std::vector<std::optional<TokenLogprob>> prompt_logprobs;
  std::optional<TokenLogprob> next;
  FinishReason finish = FinishReason::none;
  int32_t prompt_tokens = 0, cached_tokens = 0;
  double first_token_seconds = 0;  // from submit
  double total_seconds = 0;        // from submit to the end
};

// Calls on_text with each new piece of text between the engine's steps; it may throw. Ctrl-C cancels: finish is `cancelled` then, with what there was. An answer that
// repeats itself is ended as well (repetition_limit: see RepetitionGuard; 0: never), its finish_reason is "repetition". Fails with what the engine says about the request.
Generation generate(Session& session, std::vector<int32_t> prompt, const SamplingParams& sampling, const std::function<void(std::string_view)>& on_text,
                    int32_t repetition_limit = 0);

// {"content", "reasoning" (or null), "tool_calls":[{"id", "name", "arguments"}]}.
Json message_json(const std::string& content, const std::string& reasoning, const std::vector<ToolCall>& tool_calls);
// What a chat format's answer is, in the same form.
Generation generation_of(const Answer& answer, bool logprobs_asked);

// {"text", "token_ids", "finish_reason", "message", "usage"[, "logprobs"]}.
Json generation_json(const Generation& generation);

// One line on stderr: tokens, tokens/s, time to the first token, memory.
void print_stats(const Session& session, const Generation& generation);

}  // namespace carat::cli
