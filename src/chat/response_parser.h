#pragma once
// Generated token ids to a message: content, reasoning, tool calls. An automaton over ids, so that no marker can be cut in half and none can be forged by
// ordinary text. Total: every sequence of ids has a defined result. Incremental: events do not depend on how the ids are handed over.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chat/message.h"
#include "text/tokenizer.h"

namespace carat {

struct ChatEvent {
  enum class Kind : uint8_t { content, reasoning, tool_call };
  Kind kind = Kind::content;
  std::string text;  // of content and reasoning: what is new, whole characters
  ToolCall call;     // of a tool call: whole, id "call_..." unique within the response
};

struct ParsedMessage {
  std::string content, reasoning;
  std::vector<ToolCall> tool_calls;
  bool complete = false;  // it ended by itself, and nothing was left open (a thought, a call)
};

struct ParserOptions {
  Json tools;                       // as tools_from_json() returns them; types arguments. null: none
  bool parallel_tool_calls = true;  // false: done() after the first call
  size_t max_call_bytes = size_t{1} << 20;
  std::string call_id_prefix = "call_";
};

class ResponseParser {
 public:
  // gemma4: false takes every ordinary token as content. prompt_tail: the prompt's ids, or its last few: the state it leaves the answer in (inside a thought?).
  ResponseParser(const Tokenizer& tokenizer, bool gemma4, std::span<const TokenId> prompt_tail, ParserOptions options = {});
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;

  // Appends events. Ids outside the vocabulary are dropped. After done() everything is ignored.
  void push(TokenId id, std::vector<ChatEvent>& events);
  // The answer is over (a stop token that was not pushed, a length, a cancellation): what was held back. `stopped`: it ended by itself.
  void finish(bool stopped, std::vector<ChatEvent>& events);

  bool done() const;
  bool in_thought() const;
  int32_t thought_tokens() const;  // so far, for a budget
  const ParsedMessage& message() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace carat
