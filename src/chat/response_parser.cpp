#include "chat/response_parser.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "chat/argument_types.h"
#include "chat/call_parser.h"
#include "text/detokenizer.h"

namespace carat {
namespace {

enum class Marker : uint8_t {
  none,         // text
  stop,         // ends the answer
  thought,      // <|channel>
  thought_end,  // <channel|>
  call,         // <|tool_call>
  call_end,     // <tool_call|>
  quote,        // the string marker
  other,        // any other control token: means nothing in an answer
};

constexpr std::string_view kCall = "<|tool_call>", kCallEnd = "<tool_call|>", kQuote = "<|\"|>", kThought = "<|channel>", kThoughtEnd = "<channel|>";
// <|turn>: the model goes on as somebody else. <|tool_response>: it hands over to the tools.
constexpr std::array<std::string_view, 3> kStops = {"<eos>", "<turn|>", "<end_of_turn>"};
constexpr std::array<std::string_view, 2> kGemma4Stops = {"<|turn>", "<|tool_response>"};
constexpr std::array<std::string_view, 4> kGemma4Others = {"<tool_response|>", "<|tool>", "<tool|>", "<|think|>"};

bool can_mark(TokenKind kind) { return kind == TokenKind::control || kind == TokenKind::user_defined; }

// The id of a marker; -1: the vocabulary has none, or means text by it.
TokenId marker_id(const Tokenizer& tokenizer, std::string_view text) {
  const auto id = tokenizer.find(text);
  return id && can_mark(tokenizer.kind(*id)) ? *id : -1;
}

class Markers {
 public:
  Markers(const Tokenizer& tokenizer, bool gemma4, bool only_stops) : tokenizer_(tokenizer) {
    const auto add = [&](std::string_view text, Marker marker) {
      if (const TokenId id = marker_id(tokenizer, text); id >= 0) ids_.emplace_back(id, marker);
    };
    for (const std::string_view text : kStops) add(text, Marker::stop);
    if (!gemma4) return;
    for (const std::string_view text : kGemma4Stops) add(text, Marker::stop);
    if (only_stops) return;
    for (const std::string_view text : kGemma4Others) add(text, Marker::other);
    add(kThought, Marker::thought);
    add(kThoughtEnd, Marker::thought_end);
    add(kCall, Marker::call);
    add(kCallEnd, Marker::call_end);
    add(kQuote, Marker::quote);
  }

  Marker of(TokenId id) const {
    const TokenKind kind = tokenizer_.kind(id);
    if (kind == TokenKind::unknown) return Marker::other;
    if (!can_mark(kind)) return Marker::none;
    const auto it = std::find_if(ids_.begin(), ids_.end(), [id](const auto& entry) { return entry.first == id; });
    if (it != ids_.end()) return it->second;
    return kind == TokenKind::control ? Marker::other : Marker::none;
  }

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::pair<TokenId, Marker>> ids_;  // a dozen
};

}  // namespace

struct ResponseParser::Impl {
  enum class State : uint8_t { content, thought_head, thought, call, done };

  Impl(const Tokenizer& tokenizer, bool gemma4, ParserOptions o)
      : markers(tokenizer, gemma4, o.markers_as_content),
        detokenizer(tokenizer, o.markers_as_content),
        tokenizer_(tokenizer),
        options(std::move(o)),
        types(std::move(options.tools)) {}

  void push(TokenId id, std::vector<ChatEvent>& events);
  void on_marker(Marker marker, TokenId id, std::vector<ChatEvent>& events);
  void on_text(std::string text, std::vector<ChatEvent>& events);
  void end(bool stopped, std::vector<ChatEvent>& events);

  void add_content(std::string text, std::vector<ChatEvent>& events);
  void add_reasoning(std::string text, std::vector<ChatEvent>& events);
  void add_head(std::string_view text, std::vector<ChatEvent>& events);
  void open_thought(std::string_view begin, std::vector<ChatEvent>& events);
  void close_thought();
  void open_call();
  void close_call(std::vector<ChatEvent>& events);
  void call_as_content(std::string_view closer, std::vector<ChatEvent>& events);
  void limit_call(std::vector<ChatEvent>& events);
  std::string call_text() const { return std::string(kCall) + call.with_markers(kQuote); }
  bool in_thought() const { return state == State::thought_head || state == State::thought; }

  Markers markers;
  Detokenizer detokenizer;
  const Tokenizer& tokenizer_;
  ParserOptions options;
  ArgumentTypes types;

  State state = State::content;
  bool skip_space = false;  // content: directly after a thought
  std::string head;         // thought_head: what stands before the first line's end
  bool part_empty = true;   // thought: nothing of this one was told yet
  size_t newlines = 0;      // thought: held back, as they may be its last
  CallText call;            // call
  bool broken = false;      // call: a marker stood in it that belongs to no call
  int32_t thought_tokens = 0, dropped = 0;
  ParsedMessage message;
};

void ResponseParser::Impl::push(TokenId id, std::vector<ChatEvent>& events) {
  if (state == State::done || id < 0 || id >= tokenizer_.vocab_size()) return;
  const Marker marker = markers.of(id);
  if (in_thought() && marker != Marker::thought_end && marker != Marker::stop) ++thought_tokens;
  if (marker == Marker::none || (options.markers_as_content && marker != Marker::stop)) return on_text(detokenizer.push(id), events);
  on_text(detokenizer.flush(), events);  // a character that a marker cut off belongs to what was before
  on_marker(marker, id, events);
}

void ResponseParser::Impl::on_marker(Marker marker, TokenId id, std::vector<ChatEvent>& events) {
  if (marker == Marker::stop) return end(true, events);
  if (state == State::call) {
    if (marker == Marker::call_end) return close_call(events);
    const bool doubled = marker == Marker::call && call.text.empty() && call.marks.empty();
    if (doubled) {
      ++dropped;
    } else if (marker == Marker::quote) {
      call.marks.push_back(call.text.size());
    } else {  // arguments that hold anything else are not to be trusted
      broken = true;
      call.text += tokenizer_.piece(id);
    }
    return limit_call(events);
  }
  if (marker == Marker::call) return open_call();
  if (marker == Marker::thought_end && in_thought()) return close_thought();
  if (marker == Marker::thought && state != State::thought) {
    dropped += state == State::thought_head ? 1 : 0;  // doubled
    state = State::thought_head;
    head.clear();
    return;
  }
  ++dropped;
}

void ResponseParser::Impl::on_text(std::string text, std::vector<ChatEvent>& events) {
  if (text.empty()) return;
  switch (state) {
    case State::content: return add_content(std::move(text), events);
    case State::thought_head: return add_head(text, events);
    case State::thought: return add_reasoning(std::move(text), events);
    case State::call: call.text += text; return limit_call(events);
    case State::done: return;
  }
}

void ResponseParser::Impl::add_content(std::string text, std::vector<ChatEvent>& events) {
  if (skip_space) {
    text.erase(0, static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_space) - text.begin()));
    if (text.empty()) return;
    skip_space = false;
  }
  message.content += text;
  events.push_back({.kind = ChatEvent::Kind::content, .text = std::move(text), .call = {}});
}

// A thought begins with its name and a newline. A line too long for a name is the thought itself.
void ResponseParser::Impl::add_head(std::string_view text, std::vector<ChatEvent>& events) {
  constexpr std::string_view kName = "thought";
  constexpr size_t kMaxHead = 64;
  head += text;
  const std::string_view line = head;
  if (line.size() > kName.size() && line.starts_with(kName) && is_space(line[kName.size()])) return open_thought(line.substr(kName.size() + 1), events);
  if (const size_t newline = line.find('\n'); newline <= kMaxHead) return open_thought(line.substr(newline + 1), events);
  if (line.size() > kMaxHead) open_thought(line, events);
}

void ResponseParser::Impl::open_thought(std::string_view begin, std::vector<ChatEvent>& events) {
  state = State::thought;
  part_empty = true;
  newlines = 0;
  add_reasoning(std::string(begin), events);
}

void ResponseParser::Impl::add_reasoning(std::string text, std::vector<ChatEvent>& events) {
  const size_t last = text.find_last_not_of('\n');
  if (last == std::string::npos) {
    newlines += text.size();
    return;
  }
  std::string out = part_empty && !message.reasoning.empty() ? "\n" : "";
  out.append(std::exchange(newlines, text.size() - 1 - last), '\n');
  out.append(text, 0, last + 1);
  part_empty = false;
  message.reasoning += out;
  events.push_back({.kind = ChatEvent::Kind::reasoning, .text = std::move(out), .call = {}});
}

void ResponseParser::Impl::close_thought() {
  state = State::content;
  skip_space = true;
}

void ResponseParser::Impl::open_call() {  // closes a thought as well
  state = State::call;
  call.clear();
  broken = false;
}

void ResponseParser::Impl::close_call(std::vector<ChatEvent>& events) {
  const ParsedCall parsed = parse_call(call);
  if (broken || parsed.outcome != ParsedCall::Outcome::whole) return call_as_content(kCallEnd, events);
  state = State::content;
  skip_space = false;
  ToolCall out;
  out.id = options.call_id_prefix + std::to_string(options.first_call + message.tool_calls.size());
  out.name = std::string(parsed.name);
  out.arguments = types.typed(parsed.name, parsed.arguments, call.text.size());
  message.tool_calls.push_back(out);
  events.push_back({.kind = ChatEvent::Kind::tool_call, .text = {}, .call = std::move(out)});
  call = {};
  if (!options.parallel_tool_calls) end(true, events);
}

// What looked like a call and is none.
void ResponseParser::Impl::call_as_content(std::string_view closer, std::vector<ChatEvent>& events) {
  state = State::content;
  skip_space = false;
  add_content(call_text() + std::string(closer), events);
  call = {};
}

void ResponseParser::Impl::limit_call(std::vector<ChatEvent>& events) {
  if (call.text.size() + call.marks.size() * sizeof(call.marks[0]) > options.max_call_bytes) call_as_content("", events);
}

void ResponseParser::Impl::end(bool stopped, std::vector<ChatEvent>& events) {
  message.complete = stopped && state == State::content;
  if (state == State::call) {
    if (broken || parse_call(call).outcome == ParsedCall::Outcome::malformed) {
      call_as_content("", events);
    } else {
      message.unfinished_call = call_text();
    }
  }
  state = State::done;
}

ResponseParser::ResponseParser(const Tokenizer& tokenizer, bool gemma4, std::span<const TokenId> prompt_tail, ParserOptions options)
    : impl_(std::make_unique<Impl>(tokenizer, gemma4, std::move(options))) {
  if (!gemma4 || impl_->options.markers_as_content) return;
  // What the model's open turn holds so far is passed through unseen; it begins after the last token that ends one or hands over.
  size_t begin = prompt_tail.size();
  for (; begin > 0; --begin) {
    const TokenId id = prompt_tail[begin - 1];
    const bool inside = id >= 0 && id < tokenizer.vocab_size();
    if (inside && impl_->markers.of(id) == Marker::stop) break;
  }
  std::vector<ChatEvent> unseen;
  const bool parallel = std::exchange(impl_->options.parallel_tool_calls, true);  // a call of the prompt is not the one that is wanted
  for (const TokenId id : prompt_tail.subspan(begin)) impl_->push(id, unseen), unseen.clear();
  impl_->options.parallel_tool_calls = parallel;
  impl_->message = {};
  impl_->thought_tokens = impl_->dropped = 0;
}

ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;

void ResponseParser::push(TokenId id, std::vector<ChatEvent>& events) { impl_->push(id, events); }

void ResponseParser::finish(bool stopped, std::vector<ChatEvent>& events) {
  if (impl_->state == Impl::State::done) return;
  impl_->on_text(impl_->detokenizer.flush(), events);
  impl_->end(stopped, events);
}

bool ResponseParser::done() const { return impl_->state == Impl::State::done; }
bool ResponseParser::in_thought() const { return impl_->in_thought(); }
int32_t ResponseParser::thought_tokens() const { return impl_->thought_tokens; }
int32_t ResponseParser::dropped_markers() const { return impl_->dropped; }
const ParsedMessage& ResponseParser::message() const { return impl_->message; }

bool ResponseParser::has_markers(const Tokenizer& tokenizer) { return marker_id(tokenizer, kThought) >= 0 || marker_id(tokenizer, kCall) >= 0; }

}  // namespace carat
