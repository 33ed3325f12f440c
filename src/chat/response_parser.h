#pragma once
// Generated token ids to a message: content, reasoning, tool calls. An automaton over ids, so that no marker can be cut in half and none can be forged by
// ordinary text. Total: every sequence of ids has a defined result. Incremental: events do not depend on how the ids are handed over. Memory is that of the
// message and one call.
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
  std::string text;  // of content and reasoning: what is new, whole characters, not empty
  ToolCall call;     // of a tool call: whole, id unique within the response, arguments an object
};

// The texts of all events of a kind, joined, are the message's.
struct ParsedMessage {
  std::string content;    // white space that directly follows a thought left out
  std::string reasoning;  // several thoughts are joined by "\n"; newlines at the end of one left out
  std::vector<ToolCall> tool_calls;
  bool complete = false;        // it ended by itself, and nothing was left open (a thought, a call)
  std::string unfinished_call;  // the text of a call that the end cut off, with its markers; part of nothing else
};

struct ParserOptions {
  Json tools = nullptr;                     // as tools_from_json() returns them; types arguments, does not restrict names. null: none
  bool parallel_tool_calls = true;          // false: done() after the first call
  size_t max_call_bytes = size_t{1} << 20;  // a longer call is ordinary content
  std::string call_id_prefix = "call_";     // an id is this and the call's number
  size_t first_call = 0;                    // the number of the first
  bool markers_as_content = false;          // everything is content, markers by their literal text; only stop tokens end it
};

class ResponseParser {
 public:
  // gemma4: false takes every ordinary token as content. prompt_tail: the prompt's ids, or its last few: the state it leaves the answer in (inside a thought?).
  // The tokenizer outlives the parser. Markers are looked up in its vocabulary; one that is missing there, or is an ordinary token, never changes the state.
  ResponseParser(const Tokenizer& tokenizer, bool gemma4, std::span<const TokenId> prompt_tail, ParserOptions options = {});
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;

  // Appends events. Ids outside the vocabulary are dropped. After done() everything is ignored.
  void push(TokenId id, std::vector<ChatEvent>& events);
  // The answer is over (a stop token that was not pushed, a length, a cancellation): what was held back. `stopped`: it ended by itself.
  void finish(bool stopped, std::vector<ChatEvent>& events);

  bool done() const;                // a stop token came, or the one call that was wanted, or finish()
  bool in_thought() const;          // the next id belongs to a thought, its head included
  int32_t thought_tokens() const;   // ids inside of thoughts so far, without the markers that close them: for a budget
  int32_t dropped_markers() const;  // that stood where they mean nothing
  const ParsedMessage& message() const;

  // Whether thoughts or calls can be told from text in this vocabulary.
  static bool has_markers(const Tokenizer& tokenizer);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace carat
