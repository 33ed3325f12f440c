#include "engine/stop_tokens.h"

#include <algorithm>

namespace carat {

std::vector<int32_t> stop_tokens(std::vector<int32_t> eos_ids, const Tokenizer* tokenizer) {
  if (!tokenizer) return eos_ids;
  const auto ends = [&](TokenId id) { return std::find(eos_ids.begin(), eos_ids.end(), id) != eos_ids.end(); };
  const auto marker = [&](std::string_view text) {
    const auto id = tokenizer->find(text);
    const bool special = id && (tokenizer->kind(*id) == TokenKind::control || tokenizer->kind(*id) == TokenKind::user_defined);
    return special ? *id : -1;
  };
  const TokenId turn_end = marker("<turn|>"), hand_over = marker("<|tool_response>");
  if (turn_end >= 0 && hand_over >= 0 && ends(turn_end) && !ends(hand_over)) eos_ids.push_back(hand_over);
  return eos_ids;
}

}  // namespace carat
