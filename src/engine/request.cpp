#include "engine/request.h"

#include <cmath>

#include "base/error.h"

namespace carat {
namespace {

// Written so that NaN fails.
void within(const char* field, float value, bool ok, const char* range) {
  if (!ok) fail(ErrorCode::invalid_argument, "{}: {} is outside {}; give a value inside", field, value, range);
}

void check_token(const char* field, int32_t id, int32_t vocab_size) {
  if (id < 0 || id >= vocab_size) fail(ErrorCode::invalid_argument, "{}: token {} is outside the vocabulary (0..{})", field, id, vocab_size - 1);
}

}  // namespace

void SamplingParams::validate(int32_t vocab_size) const {
  within("temperature", temperature, temperature >= 0 && temperature <= 100, "0..100");
  if (top_k < 0) fail(ErrorCode::invalid_argument, "top_k: {} is negative; 0 turns it off", top_k);
  within("top_p", top_p, top_p > 0 && top_p <= 1, "(0, 1]");
  within("min_p", min_p, min_p >= 0 && min_p < 1, "[0, 1)");
  within("repetition_penalty", repetition_penalty, repetition_penalty > 0 && repetition_penalty <= 100, "(0, 100]");
  within("frequency_penalty", frequency_penalty, std::fabs(frequency_penalty) <= 100, "-100..100");
  within("presence_penalty", presence_penalty, std::fabs(presence_penalty) <= 100, "-100..100");
  for (const auto& [id, bias] : logit_bias) {
    check_token("logit_bias", id, vocab_size);
    within("logit_bias", bias, std::fabs(bias) <= 1000, "-1000..1000");
  }
  if (max_tokens < -1) fail(ErrorCode::invalid_argument, "max_tokens: {} is below -1, which means no limit", max_tokens);
  for (const std::string& s : stop) {
    if (s.empty()) fail(ErrorCode::invalid_argument, "stop: a stop string is empty");
  }
  for (const int32_t id : stop_token_ids) check_token("stop_token_ids", id, vocab_size);
  if (logprobs < -1 || logprobs > vocab_size) fail(ErrorCode::invalid_argument, "logprobs: {} is outside -1..{} (the vocabulary)", logprobs, vocab_size);
  if (prompt_logprobs < -1 || prompt_logprobs > vocab_size) {
    fail(ErrorCode::invalid_argument, "prompt_logprobs: {} is outside -1..{} (the vocabulary)", prompt_logprobs, vocab_size);
  }
}

const char* to_string(FinishReason r) {
  switch (r) {
    case FinishReason::none: return "none";
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::cancelled: return "cancelled";
    case FinishReason::error: return "error";
  }
  return "unknown";
}

}  // namespace carat
