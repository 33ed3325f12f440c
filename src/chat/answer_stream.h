#pragma once
// What becomes of the ids of one answer as they come: events for whoever watches, and whether it should go on. Knows no engine: the terminal and a server use it alike.
#include <string>
#include <vector>

#include "chat/repetition_guard.h"
#include "chat/response_parser.h"
#include "text/detokenizer.h"

namespace carat {

enum class AnswerEnd : uint8_t { stop, length, tool_calls, repetition, cancelled };
const char* to_string(AnswerEnd end);  // as in "finish_reason"

class AnswerStream {
 public:
  // stop: looked for in the content only, and left out of it. repetition_limit: see RepetitionGuard; 0: never.
  AnswerStream(const Tokenizer& tokenizer, ResponseParser parser, std::vector<std::string> stop, int32_t repetition_limit);

  // Appends events. True: the answer is over, nothing more is to be generated; push() must not be called again.
  bool push(TokenId id, std::vector<ChatEvent>& events);
  // No more ids come: `end` is why (the model's own stop as stop; what push() found out itself counts more). Appends what was held back; returns the reason.
  AnswerEnd finish(AnswerEnd end, std::vector<ChatEvent>& events);

  const ParsedMessage& message() const { return message_; }  // the content as far as it was told; whole after finish()
  const ResponseParser& parser() const { return parser_; }

 private:
  void tell(std::vector<ChatEvent>& parsed, std::vector<ChatEvent>& events);

  ResponseParser parser_;
  StopMatcher stop_;
  bool has_stop_;
  RepetitionGuard guard_;
  TokenId call_end_, response_;  // -1: the vocabulary has none
  TokenId last_ = -1, before_last_ = -1;
  bool stopped_ = false, runaway_ = false;  // by a stop string; by repeating itself
  ParsedMessage message_;
  std::vector<ChatEvent> parsed_;
};

}  // namespace carat
