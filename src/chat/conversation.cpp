#include "chat/conversation.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One request of the engine, which is cancelled and waited for when its owner leaves early.
class Running {
 public:
  Running(Engine& engine, Request request) : engine_(engine) {
    // Called from within step(): it only collects. What may throw is done between the steps.
    request.on_output = [this](const RequestOutput& output) {
      text += output.text;
      token_ids.insert(token_ids.end(), output.token_ids.begin(), output.token_ids.end());
      logprobs.insert(logprobs.end(), output.logprobs.begin(), output.logprobs.end());
      finish = output.finish;
      error = output.error;
      cached_tokens = output.cached_tokens;
    };
    id_ = engine_.submit(std::move(request));
  }
  ~Running() { end(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  // One step; false: the request is over.
  bool step() { return finish == FinishReason::none && engine_.step(); }
  void end() noexcept {
    if (finish != FinishReason::none) return;
    engine_.cancel(id_);
    while (finish == FinishReason::none && engine_.step()) {}
  }

  // What has come, in order; the caller takes it away.
  std::string text;
  std::vector<TokenId> token_ids;
  std::vector<TokenLogprob> logprobs;
  FinishReason finish = FinishReason::none;
  std::string error;
  int32_t cached_tokens = 0;

 private:
  Engine& engine_;
  RequestId id_ = 0;
};

std::optional<AnswerEnd> as_end(FinishReason finish) {
  switch (finish) {
    case FinishReason::stop: return AnswerEnd::stop;
    case FinishReason::length: return AnswerEnd::length;
    case FinishReason::cancelled: return AnswerEnd::cancelled;
    case FinishReason::none:
    case FinishReason::error: break;
  }
  return std::nullopt;
}

// The number for the next call's id, so that none comes twice in a conversation: one more than the largest so far.
size_t next_call_number(const std::vector<Message>& messages) {
  constexpr size_t kMost = size_t{1} << 30;  // a number beyond is another program's; an id of ours never gets there
  const std::string prefix = ParserOptions().call_id_prefix;
  size_t next = 0;
  for (const Message& message : messages) {
    for (const ToolCall& call : message.tool_calls) {
      if (!call.id.starts_with(prefix)) continue;
      const char* end = call.id.data() + call.id.size();
      size_t number = 0;
      const auto [stop, error] = std::from_chars(call.id.data() + prefix.size(), end, number);
      if (error == std::errc() && stop == end && number < kMost) next = std::max(next, number + 1);
    }
  }
  return next;
}

// The format writes a message's calls and their results before its text, and ends the turn then; the model wrote the text first and waits for the results. Taken
// apart, the turn is what the model wrote, and goes on.
std::vector<Message> in_order_of_generation(std::vector<Message> turns) {
  std::vector<Message> out;
  for (Message& message : turns) {
    if (message.role == "assistant" && !message.tool_calls.empty() && message.tool_responses.empty() && !message.content.empty()) {
      Message calls;
      calls.role = message.role;
      calls.tool_calls = std::exchange(message.tool_calls, {});
      out.push_back(std::move(message));
      out.push_back(std::move(calls));
    } else {
      out.push_back(std::move(message));
    }
  }
  return out;
}

// An answer on its way: one request, or several where a thought had to be closed between them.
class Answering {
 public:
  Answering(Engine& engine, const Tokenizer& tokenizer, const ChatFormat& format, const ConversationOptions& options, EncodedPrompt prompt, size_t first_call,
            const AnswerObserver& observer)
      : engine_(engine),
        options_(options),
        prompt_(std::move(prompt)),
        observer_(observer),
        close_thought_(tokenizer.find("<channel|>").value_or(-1)),
        stream_(tokenizer, ResponseParser(tokenizer, format.is_gemma4(), prompt_.token_ids, {.tools = options.tools, .first_call = first_call}),
                options.sampling.stop, options.repetition_limit) {
    answer_.prompt_tokens = static_cast<int32_t>(prompt_.token_ids.size());
    seed_ = options.sampling.seed ? *options.sampling.seed : random_u64(static_cast<uint64_t>(Clock::now().time_since_epoch().count()), 0);
  }

  Answer run() {
    std::optional<AnswerEnd> end;
    while (!end) end = run_request();
    answer_.end = stream_.finish(*end, events_);
    report();
    const ParsedMessage& parsed = stream_.message();
    answer_.complete = parsed.complete;
    answer_.message.role = "assistant";
    answer_.message.content = {.kind = Content::Kind::text, .text = parsed.content, .parts = {}, .value = {}};
    answer_.message.reasoning = parsed.reasoning;
    answer_.message.tool_calls = parsed.tool_calls;
    answer_.total_seconds = seconds_since(start_);
    return std::move(answer_);
  }

 private:
  // Empty: a thought was closed, the answer goes on with another request. The draws of the engine hang on seed and position, not on requests.
  std::optional<AnswerEnd> run_request() {
    if (thought_is_too_long()) {  // a budget of 0, and the prompt ends within a thought
      close_thought();
      return std::nullopt;
    }
    Request request;
    request.token_ids = prompt_.token_ids;
    request.token_ids.insert(request.token_ids.end(), answer_.token_ids.begin(), answer_.token_ids.end());
    request.resume_points = prompt_.resume_points;
    request.sampling = options_.sampling;
    request.sampling.seed = seed_;
    request.sampling.stop.clear();  // the stream looks for them, in the content only
    if (request.sampling.max_tokens >= 0) {
      request.sampling.max_tokens -= static_cast<int32_t>(answer_.token_ids.size());
      if (request.sampling.max_tokens <= 0 && !answer_.token_ids.empty()) return AnswerEnd::length;
    }
    if (!answer_.token_ids.empty() && static_cast<int64_t>(request.token_ids.size()) >= engine_.ctx()) return AnswerEnd::length;
    Running running(engine_, std::move(request));
    while (running.step()) {
      const bool over = take(running);
      report();
      if (over) return AnswerEnd::stop;
      if (observer_.cancelled && observer_.cancelled()) return AnswerEnd::cancelled;
      if (running.finish == FinishReason::none && thought_is_too_long()) {
        running.end();
        close_thought();
        return std::nullopt;
      }
    }
    if (running.finish == FinishReason::error) fail(ErrorCode::internal, "the request failed: {}", running.error);
    take(running);
    const std::optional<AnswerEnd> end = as_end(running.finish);
    check(end.has_value(), "the engine went idle before the request ended");
    return end;
  }

  // True: the stream wants no more.
  bool take(Running& running) {
    if (running.token_ids.empty()) return false;
    if (answer_.first_token_seconds == 0) {
      answer_.first_token_seconds = seconds_since(start_);
      answer_.cached_tokens = running.cached_tokens;
    }
    answer_.text += std::exchange(running.text, {});
    for (TokenLogprob& logprob : running.logprobs) answer_.logprobs.push_back(std::move(logprob));
    running.logprobs.clear();
    bool over = false;
    for (const TokenId id : std::exchange(running.token_ids, {})) {
      answer_.token_ids.push_back(id);
      over = over || stream_.push(id, events_);
    }
    return over;
  }

  bool thought_is_too_long() const {
    return options_.thought_budget >= 0 && close_thought_ >= 0 && stream_.parser().in_thought() && stream_.parser().thought_tokens() >= options_.thought_budget;
  }

  void close_thought() {
    answer_.token_ids.push_back(close_thought_);
    // It was not drawn: it has no probability.
    if (options_.sampling.logprobs >= 0) answer_.logprobs.push_back({.id = close_thought_, .logprob = std::numeric_limits<float>::quiet_NaN(), .top = {}});
    stream_.push(close_thought_, events_);
    report();
  }

  void report() {
    if (observer_.on_event) {
      for (const ChatEvent& event : events_) observer_.on_event(event);
    }
    events_.clear();
    if (observer_.on_thought_token && stream_.parser().in_thought()) observer_.on_thought_token(stream_.parser().thought_tokens());
  }

  Engine& engine_;
  const ConversationOptions& options_;
  const EncodedPrompt prompt_;
  const AnswerObserver& observer_;
  const TokenId close_thought_;
  AnswerStream stream_;
  uint64_t seed_ = 0;
  const Clock::time_point start_ = Clock::now();
  std::vector<ChatEvent> events_;
  Answer answer_;
};

}  // namespace

Conversation::Conversation(Engine& engine, std::shared_ptr<const Tokenizer> tokenizer, std::shared_ptr<const ChatFormat> format, ConversationOptions options)
    : engine_(engine), tokenizer_(std::move(tokenizer)), format_(std::move(format)), options_(std::move(options)) {
  check(tokenizer_ != nullptr && format_ != nullptr, "a conversation has a vocabulary and a chat format");
}

void Conversation::add_user(std::string text) {
  Message message;
  message.role = "user";
  message.content = {.kind = Content::Kind::text, .text = std::move(text), .parts = {}, .value = {}};
  add(std::move(message));
}

void Conversation::add_tool_result(const ToolCall& call, std::string result) {
  Message message;
  message.role = "tool";
  message.tool_call_id = call.id;
  message.name = call.name;
  message.content = {.kind = Content::Kind::text, .text = std::move(result), .parts = {}, .value = {}};
  add(std::move(message));
}

std::vector<Message> Conversation::with_system() const {
  std::vector<Message> all;
  all.reserve(messages_.size() + 1);
  if (!options_.system.empty()) {
    Message message;
    message.role = "system";
    message.content = {.kind = Content::Kind::text, .text = options_.system, .parts = {}, .value = {}};
    all.push_back(std::move(message));
  }
  all.insert(all.end(), messages_.begin(), messages_.end());
  return all;
}

EncodedPrompt Conversation::encode() const {
  RenderOptions render;
  render.enable_thinking = options_.think;
  std::vector<Message> turns = with_system();
  if (format_->joins_assistant_messages()) turns = in_order_of_generation(std::move(turns));
  return encode_prompt(*tokenizer_, format_->render(turns, options_.tools, render));
}

int32_t Conversation::prompt_tokens() const { return static_cast<int32_t>(encode().token_ids.size()); }

Answer Conversation::answer(const AnswerObserver& observer) {
  EncodedPrompt prompt = encode();
  if (!prompt.media.empty()) fail(ErrorCode::unsupported, "images, audio and video are not there yet, in the conversation, leave them out");
  Answer answer = Answering(engine_, *tokenizer_, *format_, options_, std::move(prompt), next_call_number(messages_), observer).run();
  add(answer.message);
  return answer;
}

std::string Conversation::take_back() {
  for (size_t i = messages_.size(); i-- > 0;) {
    if (messages_[i].role != "user") continue;
    std::string text = messages_[i].content.text;
    for (const ContentPart& part : messages_[i].content.parts) {  // saved by another program
      if (part.kind != ContentPart::Kind::text) return {};
      text += part.text;
    }
    if (!text.empty()) messages_.resize(i);
    return text;
  }
  return {};
}

Json Conversation::to_json() const {
  Json messages = Json::array();
  for (const Message& message : with_system()) messages.push_back(message_to_json(message));
  return {{"messages", std::move(messages)}};
}

void Conversation::from_json(const Json& saved) {
  const bool is_object = saved.is_object();
  if (is_object && !saved.contains("messages"))
    fail(ErrorCode::invalid_argument, "there are no messages, in the saved conversation, give one that /save wrote");
  const Json& list = is_object ? saved.at("messages") : saved;
  std::vector<Message> messages = list.is_array() && list.empty() ? std::vector<Message>() : messages_from_json(list);
  std::string system;
  if (!messages.empty() && (messages.front().role == "system" || messages.front().role == "developer") &&
      messages.front().content.kind == Content::Kind::text) {
    system = messages.front().content.text;
    messages.erase(messages.begin());
  }
  options_.system = std::move(system);
  messages_ = std::move(messages);
}

}  // namespace carat
