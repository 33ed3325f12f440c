#include "chat/answer_stream.h"

#include <utility>

namespace carat {

const char* to_string(AnswerEnd end) {
  switch (end) {
    case AnswerEnd::stop: return "stop";
    case AnswerEnd::length: return "length";
    case AnswerEnd::tool_calls: return "tool_calls";
    case AnswerEnd::repetition: return "repetition";
    case AnswerEnd::cancelled: return "cancelled";
  }
  return "";
}

AnswerStream::AnswerStream(const Tokenizer& tokenizer, ResponseParser parser, std::vector<std::string> stop, int32_t repetition_limit)
    : parser_(std::move(parser)),
      stop_(stop),
      has_stop_(!stop.empty()),
      guard_(repetition_limit),
      call_end_(tokenizer.find("<tool_call|>").value_or(-1)),
      response_(tokenizer.find("<|tool_response>").value_or(-1)) {}

bool AnswerStream::push(TokenId id, std::vector<ChatEvent>& events) {
  before_last_ = std::exchange(last_, id);
  parsed_.clear();
  parser_.push(id, parsed_);
  tell(parsed_, events);
  runaway_ = guard_.push(id);
  return stopped_ || runaway_ || parser_.done();
}

// Passes events on; content goes through the stop strings first, and nothing follows one that was met.
void AnswerStream::tell(std::vector<ChatEvent>& parsed, std::vector<ChatEvent>& events) {
  for (ChatEvent& event : parsed) {
    if (stopped_) return;
    if (event.kind == ChatEvent::Kind::content) {
      if (has_stop_) {
        StopMatcher::Result result = stop_.push(event.text);
        event.text = std::move(result.text);
        stopped_ = result.stopped;
      }
      if (event.text.empty()) continue;
      message_.content += event.text;
    } else if (event.kind == ChatEvent::Kind::reasoning) {
      message_.reasoning += event.text;
    } else {
      message_.tool_calls.push_back(event.call);
    }
    events.push_back(std::move(event));
  }
}

AnswerEnd AnswerStream::finish(AnswerEnd end, std::vector<ChatEvent>& events) {
  if (stopped_) {
    message_.complete = true;
    return AnswerEnd::stop;
  }
  const bool by_itself = end == AnswerEnd::stop && !runaway_;
  parsed_.clear();
  parser_.finish(by_itself, parsed_);
  tell(parsed_, events);
  if (has_stop_ && !stopped_) {
    if (std::string held = stop_.flush(); !held.empty()) {
      message_.content += held;
      events.push_back({.kind = ChatEvent::Kind::content, .text = std::move(held), .call = {}});
    }
  }
  message_.complete = parser_.message().complete;
  message_.unfinished_call = parser_.message().unfinished_call;
  if (stopped_) return AnswerEnd::stop;
  if (runaway_) return AnswerEnd::repetition;
  if (!by_itself) return end;
  const bool hands_over = last_ == response_ || last_ == call_end_ || before_last_ == call_end_;
  return !message_.tool_calls.empty() && hands_over ? AnswerEnd::tool_calls : AnswerEnd::stop;
}

}  // namespace carat
