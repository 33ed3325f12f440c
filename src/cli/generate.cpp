#include "cli/generate.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "base/error.h"
#include "chat/repetition_guard.h"
#include "cli/interrupt.h"

namespace carat::cli {
namespace {

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Generation generate(Session& session, std::vector<int32_t> prompt, const SamplingParams& sampling, const std::function<void(std::string_view)>& on_text,
                    int32_t repetition_limit) {
  Generation result;
  std::string error;
  size_t shown = 0;
  Request request;
  request.token_ids = std::move(prompt);
  request.sampling = sampling;
  result.logprobs_asked = sampling.logprobs >= 0;
  // Called from within step(): it only collects. Text is shown between the steps, where a failing stdout may throw.
  request.on_output = [&](const RequestOutput& output) {
    result.text += output.text;
    append(result.token_ids, output.token_ids);
    append(result.logprobs, output.logprobs);
    append(result.prompt_logprobs, output.prompt_logprobs);
    if (output.next) result.next = output.next;
    result.finish = output.finish;
    result.prompt_tokens = output.prompt_tokens;
    result.cached_tokens = output.cached_tokens;
    result.first_token_seconds = output.first_token_seconds;
    error = output.error;
  };
  const InterruptScope interrupt;
  RepetitionGuard guard(repetition_limit);
  size_t guarded = 0;
  bool runaway = false;
  const auto start = std::chrono::steady_clock::now();
  const RequestId id = session.engine->submit(std::move(request));
  bool cancelled = false;
  while (result.finish == FinishReason::none && session.engine->step()) {
    if (shown < result.text.size()) on_text(std::string_view(result.text).substr(shown));
    shown = result.text.size();
    for (; guarded < result.token_ids.size(); ++guarded) runaway = guard.push(result.token_ids[guarded]);
    if (!cancelled && (runaway || interrupt.requested())) {
      session.engine->cancel(id);
      cancelled = true;
    }
  }
  result.total_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (result.finish == FinishReason::error) fail(ErrorCode::internal, "the request failed: {}", error);
  check(result.finish != FinishReason::none, "the engine went idle before the request ended");
  if (runaway && result.finish == FinishReason::cancelled) result.finish = FinishReason::stop, result.finish_reason = to_string(AnswerEnd::repetition);
  if (result.finish_reason.empty()) result.finish_reason = to_string(result.finish);
  result.message = message_json(result.text, {}, {});
  return result;
}

Json message_json(const std::string& content, const std::string& reasoning, const std::vector<ToolCall>& tool_calls) {
  Json calls = Json::array();
  for (const ToolCall& call : tool_calls) calls.push_back({{"id", call.id}, {"name", call.name}, {"arguments", call.arguments}});
  return {{"content", content}, {"reasoning", reasoning.empty() ? Json(nullptr) : Json(reasoning)}, {"tool_calls", std::move(calls)}};
}

Generation generation_of(const Answer& answer, bool logprobs_asked) {
  Generation result;
  result.text = answer.text;
  result.token_ids = answer.token_ids;
  result.logprobs_asked = logprobs_asked;
  result.logprobs = answer.logprobs;
  result.finish = answer.end == AnswerEnd::cancelled ? FinishReason::cancelled : answer.end == AnswerEnd::length ? FinishReason::length : FinishReason::stop;
  result.finish_reason = to_string(answer.end);
  result.prompt_tokens = answer.prompt_tokens;
  result.cached_tokens = answer.cached_tokens;
  result.first_token_seconds = answer.first_token_seconds;
  result.total_seconds = answer.total_seconds;
  result.message = message_json(answer.message.content.text, answer.message.reasoning, answer.message.tool_calls);
  return result;
}

namespace {

// The shortest number that is read back as this float; null for what JSON cannot say.
Json number_json(float value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

// [[id, logprob], ...]
Json top_json(const TokenLogprob& logprob) {
  Json list = Json::array();
  for (const auto& [id, value] : logprob.top) list.push_back({id, number_json(value)});
  return list;
}

}  // namespace

Json generation_json(const Generation& generation) {
  const auto completion_tokens = static_cast<int64_t>(generation.token_ids.size());
  Json json{{"text", generation.text},
            {"token_ids", generation.token_ids},
            {"finish_reason", generation.finish_reason},
            {"message", generation.message},
            {"usage",
             {{"prompt_tokens", generation.prompt_tokens},
              {"completion_tokens", completion_tokens},
              {"total_tokens", generation.prompt_tokens + completion_tokens}}}};
  if (generation.logprobs_asked) {
    Json list = Json::array();
    for (const TokenLogprob& logprob : generation.logprobs)
      list.push_back({{"id", logprob.id}, {"logprob", number_json(logprob.logprob)}, {"top", top_json(logprob)}});
    json["logprobs"] = std::move(list);
  }
  return json;
}

void print_stats(const Session& session, const Generation& g) {
  const auto tokens = static_cast<double>(g.token_ids.size());
  const double decode_seconds = g.total_seconds - g.first_token_seconds;
  const double decode_rate = tokens > 1 && decode_seconds > 0 ? (tokens - 1) / decode_seconds : 0;
  const double prompt_rate = g.first_token_seconds > 0 ? g.prompt_tokens / g.first_token_seconds : 0;
  constexpr double kMiB = 1 << 20;
  fmt::print(
      stderr,
      "prompt {} tokens, {:.1f} tokens/s; answer {:.0f} tokens, {:.1f} tokens/s; first token after {:.3f} s; loaded in {:.2f} s; peak memory {:.0f} MiB\n",
      g.prompt_tokens, prompt_rate, tokens, decode_rate, g.first_token_seconds, session.load_seconds, static_cast<double>(peak_memory_bytes()) / kMiB);
}

}  // namespace carat::cli
