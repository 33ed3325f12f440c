#pragma once
// Answers spelled as text, control tokens and all, to the ids a model would have generated; and ids to the message and events a parser makes of them.
#include <string>
#include <string_view>
#include <vector>

#include "chat/response_parser.h"
#include "text/vocabularies.h"

namespace carat::test {

inline Ids answer_ids(const Tokenizer& tokenizer, std::string_view spelled) { return tokenizer.encode(spelled, kParsed); }

struct Parsed {
  ParsedMessage message;
  std::vector<ChatEvent> events;
  bool done = false;
  int32_t thought_tokens = 0, dropped = 0;
};

inline Parsed parse_ids(const Tokenizer& tokenizer, std::span<const TokenId> ids, ParserOptions options = {}, std::span<const TokenId> prompt = {},
                        bool gemma4 = true) {
  ResponseParser parser(tokenizer, gemma4, prompt, std::move(options));
  Parsed out;
  for (const TokenId id : ids) parser.push(id, out.events);
  out.done = parser.done();
  parser.finish(false, out.events);
  out.message = parser.message();
  out.thought_tokens = parser.thought_tokens(), out.dropped = parser.dropped_markers();
  return out;
}

// Spelled answers, with the tiny vocabulary; whether they end by a stop token is part of the spelling.
inline Parsed parse_answer(std::string_view spelled, ParserOptions options = {}, std::string_view prompt = "") {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  return parse_ids(tokenizer, answer_ids(tokenizer, spelled), std::move(options), answer_ids(tokenizer, prompt));
}

// Neighbouring texts of a kind joined: what a reader of the stream sees, however it was cut.
inline std::string joined(const std::vector<ChatEvent>& events) {
  std::string out;
  int kind = -1;
  for (const ChatEvent& event : events) {
    const bool call = event.kind == ChatEvent::Kind::tool_call;
    if (call || static_cast<int>(event.kind) != kind) out += call ? "\n[call] " : event.kind == ChatEvent::Kind::content ? "\n[content] " : "\n[reasoning] ";
    kind = static_cast<int>(event.kind);
    out += call ? event.call.id + " " + event.call.name + " " + event.call.arguments.dump() : event.text;
  }
  return out;
}

}  // namespace carat::test
