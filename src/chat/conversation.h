#pragma once
// A talk with one model: the turns so far, and the next answer. Each question is rendered with its history, so that a thought is dropped when the format says so;
// the engine's prefix cache makes that cheap: only what is new is read.
//
// Not thread-safe: the thread that steps the engine calls it.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/answer_stream.h"
#include "chat/chat_format.h"
#include "chat/message.h"
#include "engine/engine.h"

namespace carat {

struct ConversationOptions {
  std::string system;            // "": no system turn
  Json tools;                    // as tools_from_json() returns them; null: none
  std::optional<bool> think;     // unset: as the format does when nothing is said (off)
  int32_t thought_budget = -1;   // tokens of a thought, then it is closed; -1: as many as it likes
  int32_t repetition_limit = 0;  // an answer whose last so many tokens repeat themselves is ended (RepetitionGuard); 0: never
  SamplingParams sampling;       // stop: looked for in the content, not in thoughts or calls
};

struct Answer {
  Message message;  // role assistant: content, reasoning, calls
  AnswerEnd end = AnswerEnd::stop;
  bool complete = false;  // it ended by itself with nothing left open
  std::string text;       // of all tokens; the markers of thoughts and calls among them
  std::vector<TokenId> token_ids;
  std::vector<TokenLogprob> logprobs;  // when sampling.logprobs asks for them
  int32_t prompt_tokens = 0, cached_tokens = 0;
  double first_token_seconds = 0, total_seconds = 0;
};

// Told between the engine's steps; may throw, which ends the answer (the history then holds none).
struct AnswerObserver {
  std::function<void(const ChatEvent&)> on_event;
  std::function<void(int32_t thought_tokens)> on_thought_token;  // while a thought runs; may be empty
  std::function<bool()> cancelled;                               // asked once a step; may be empty
};

class Conversation {
 public:
  // All outlive it. `format` is not null.
  Conversation(Engine& engine, std::shared_ptr<const Tokenizer> tokenizer, std::shared_ptr<const ChatFormat> format, ConversationOptions options);

  void add(Message message) { messages_.push_back(std::move(message)); }
  void add_user(std::string text);
  void add_tool_result(const ToolCall& call, std::string result);
  // Generates the next assistant turn and appends it, also when it was cancelled, with what there was: without a turn behind each question formats in which
  // user and model take turns would refuse all that follow. Fails with invalid_argument (the prompt is too long,
  // a message the format cannot say) or what the engine reports; the history is as before then.
  Answer answer(const AnswerObserver& observer);
  // Takes back the last question with everything after it and returns its text. "", and nothing changes: there is none, or it holds more than text.
  std::string take_back();
  void clear() { messages_.clear(); }

  const std::vector<Message>& messages() const { return messages_; }  // without the system turn
  ConversationOptions& options() { return options_; }
  const ChatFormat& format() const { return *format_; }
  // Tokens of the next prompt as it stands.
  int32_t prompt_tokens() const;

  // {"messages":[…]}, a system turn first when there is one: OpenAI's form, which carat render reads too. Reading takes that or a bare list, and replaces
  // system and turns. Fails with invalid_argument, and changes nothing then.
  Json to_json() const;
  void from_json(const Json& saved);

 private:
  EncodedPrompt encode() const;
  std::vector<Message> with_system() const;

  Engine& engine_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatFormat> format_;
  ConversationOptions options_;
  std::vector<Message> messages_;
};

}  // namespace carat
