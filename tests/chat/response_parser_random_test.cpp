// Answers that no model would give: any sequence of ids has a defined result, in bounded time, however it is handed over.
// CARAT_PARSER_SEQUENCES says how many (default 30,000).
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "chat/answer_ids.h"
#include "chat/call_parser.h"
#include "text/random_text.h"

namespace carat {
namespace {

using test::Ids;
using test::RandomText;

size_t sequences() {
  const char* text = std::getenv("CARAT_PARSER_SEQUENCES");
  return text ? static_cast<size_t>(std::strtoull(text, nullptr, 10)) : 30000;
}

// The markers by their spelling: what the parser finds out for itself is written down here once more.
struct Spelled {
  explicit Spelled(const Tokenizer& t)
      : stops{*t.find("<eos>"), *t.find("<turn|>"), *t.find("<|turn>"), *t.find("<|tool_response>")},
        markers{*t.find("<|channel>"), *t.find("<channel|>"), *t.find("<|tool_call>"), *t.find("<tool_call|>"), *t.find("<|\"|>")},
        others{*t.find("<tool_response|>"), *t.find("<|tool>"), *t.find("<tool|>"), *t.find("<|think|>"), *t.find("<bos>"),
               *t.find("<|image|>"),        *t.find("<unk>")} {
    for (const char* text : {"call:f{", "call:", "{",  "}", "[",         "]",       ",", ":",    "\"",   "\\",  "1",
                             "true",    "null",  "\n", " ", "thought\n", "thought", "a", "\n\n", "key:", "x:1", "}}"}) {
      pieces.push_back(t.encode(text, test::kText));
    }
    for (const char* text : {"<|tool_call>call:f{a:", "<|tool_call>call:g{}<tool_call|>", "1}<tool_call|>", "}<tool_call|>", "<|\"|>x<|\"|>",
                             "<|channel>thought\n", "b<channel|>"}) {
      pieces.push_back(t.encode(text, test::kParsed));
    }
    for (const char* byte : {"<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0xC3>", "<0xFF>", "<0x0A>"}) pieces.push_back({*t.find(byte)});
  }
  Ids stops, markers, others;
  std::vector<Ids> pieces;
};

Ids random_ids(RandomText& random, const Spelled& spelled, int32_t vocab_size, bool stops) {
  const auto pick = [&](const auto& list) { return list[random.below(static_cast<uint32_t>(list.size()))]; };
  Ids ids;
  for (uint32_t n = random.below(random.below(4) == 0 ? 100 : 30); n > 0; --n) {
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: ids.push_back(pick(spelled.markers)); break;
      case 5: ids.push_back(pick(spelled.others)); break;
      case 6:
        if (stops && random.below(4) == 0) ids.push_back(pick(spelled.stops));
        break;
      case 7: ids.push_back(static_cast<TokenId>(random.below(static_cast<uint32_t>(vocab_size) + 2)) - 1); break;
      default: {
        const Ids& piece = spelled.pieces[random.below(static_cast<uint32_t>(spelled.pieces.size()))];
        ids.insert(ids.end(), piece.begin(), piece.end());
      }
    }
  }
  if (!stops) std::erase_if(ids, [&](TokenId id) { return std::count(spelled.stops.begin(), spelled.stops.end(), id) > 0; });
  return ids;
}

bool same(const ChatEvent& a, const ChatEvent& b) {
  return a.kind == b.kind && a.text == b.text && a.call.id == b.call.id && a.call.name == b.call.name && a.call.arguments == b.call.arguments;
}
bool same(const std::vector<ChatEvent>& a, const std::vector<ChatEvent>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ChatEvent& x, const ChatEvent& y) { return same(x, y); });
}

// The rules once more, told of the whole answer: pieces between markers are decoded on their own, thoughts and calls cut out.
class Naive {
 public:
  Naive(const Tokenizer& tokenizer, const Spelled& spelled, Ids ids) : tokenizer_(tokenizer), ids_(std::move(ids)) {
    std::erase_if(ids_, [&](TokenId id) { return id < 0 || id >= tokenizer.vocab_size(); });
    const auto stop = std::find_if(ids_.begin(), ids_.end(), [&](TokenId id) { return std::count(spelled.stops.begin(), spelled.stops.end(), id) > 0; });
    complete = stop != ids_.end();
    ids_.erase(stop, ids_.end());
    while (at_ < ids_.size()) step();
  }
  std::string content;
  std::vector<std::string> thoughts, calls;
  bool complete = false;

 private:
  bool is(const char* marker) const { return ids_[at_] == *tokenizer_.find(marker); }
  bool is_text() const {
    const TokenKind kind = tokenizer_.kind(ids_[at_]);
    return kind == TokenKind::normal || kind == TokenKind::byte || kind == TokenKind::unused ||
           (kind == TokenKind::user_defined && tokenizer_.piece(ids_[at_]).find('|') == std::string_view::npos);
  }
  std::string run() {
    Ids run;
    while (at_ < ids_.size() && is_text()) run.push_back(ids_[at_++]);
    return tokenizer_.decode(run);
  }
  void add(std::string text) {
    if (after_thought_) text.erase(0, text.find_first_not_of(" \t\n\v\f\r"));
    after_thought_ = after_thought_ && text.empty();
    content += text;
  }
  void step() {
    if (is_text()) return add(run());
    if (is("<|channel>")) return thought();
    if (is("<|tool_call>")) return call();
    ++at_;
  }
  void thought() {
    std::string body;
    bool begun = false;
    for (++at_; at_ < ids_.size() && !is("<channel|>") && !is("<|tool_call>");) {
      if (is_text()) {
        body += run();
        begun = begun || !behind_head(body).empty();
      } else {
        if (is("<|channel>") && !begun && behind_head(body + "?").substr(0, 1) != "?" && !opened(body)) body.clear();
        ++at_;
      }
    }
    std::string text = opened(body) ? behind_head(body) : "";
    while (text.ends_with("\n")) text.pop_back();
    if (!text.empty()) thoughts.push_back(text);
    if (at_ == ids_.size()) {
      complete = false;
    } else if (is("<channel|>")) {
      ++at_, after_thought_ = true;
    }
  }
  // Whether the name of a thought is over, and what comes behind it.
  static bool opened(const std::string& body) {
    return (body.starts_with("thought") && body.size() > 7 && is_space(body[7])) || body.find('\n') <= 64 || body.size() > 64;
  }
  static std::string behind_head(const std::string& body) {
    if (body.starts_with("thought") && body.size() > 7 && is_space(body[7])) return body.substr(8);
    if (body.find('\n') <= 64) return body.substr(body.find('\n') + 1);
    return body.size() > 64 ? body : "";
  }
  void call() {
    CallText text;
    std::string raw;
    bool odd = false;
    for (++at_; at_ < ids_.size() && !is("<tool_call|>");) {
      if (is_text()) {
        const std::string more = run();
        text.text += more, raw += more;
        continue;
      }
      if (is("<|\"|>")) {
        text.marks.push_back(text.text.size()), raw += "<|\"|>";
      } else if (!(is("<|tool_call>") && raw.empty())) {
        odd = true, raw += tokenizer_.piece(ids_[at_]);
      }
      ++at_;
    }
    const bool closed = at_ < ids_.size();
    const ParsedCall parsed = parse_call(text);
    if (!closed) complete = false;
    if (!odd && parsed.outcome == ParsedCall::Outcome::whole && closed) {
      calls.push_back(std::string(parsed.name) + to_json(parsed.arguments).dump());
    } else if (closed || odd || parsed.outcome == ParsedCall::Outcome::malformed) {
      content += "<|tool_call>" + raw + (closed ? "<tool_call|>" : "");
    }
    after_thought_ = false;
    ++at_;
  }

  const Tokenizer& tokenizer_;
  Ids ids_;
  size_t at_ = 0;
  bool after_thought_ = false;
};

TEST(ResponseParserRandom, AnySequenceOfIdsHasADefinedResult) {
  const Tokenizer& tokenizer = *test::tiny_tokenizer();
  const Spelled spelled(tokenizer);
  RandomText random(11);
  double slowest = 0;
  size_t calls = 0, thoughts = 0;
  for (size_t n = sequences(); n > 0; --n) {
    const Ids ids = random_ids(random, spelled, tokenizer.vocab_size(), true);
    const auto begin = std::chrono::steady_clock::now();
    const test::Parsed parsed = test::parse_ids(tokenizer, ids);
    slowest = std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());

    size_t bytes = 0;
    for (const TokenId id : ids) bytes += id >= 0 && id < tokenizer.vocab_size() ? tokenizer.piece(id).size() : 0;
    std::string content, reasoning, ids_seen;
    for (const ChatEvent& event : parsed.events) {
      const bool call = event.kind == ChatEvent::Kind::tool_call;
      ASSERT_EQ(event.text.empty(), call);
      ASSERT_TRUE(utf8_valid(event.text));
      if (event.kind == ChatEvent::Kind::content) content += event.text;
      if (event.kind == ChatEvent::Kind::reasoning) reasoning += event.text;
      if (!call) continue;
      ASSERT_TRUE(event.call.arguments.is_object());
      ASSERT_TRUE(utf8_valid(event.call.name + event.call.arguments.dump()));
      ASSERT_EQ(ids_seen.find(event.call.id + " "), std::string::npos);
      ids_seen += event.call.id + " ";
    }
    ASSERT_EQ(content, parsed.message.content);
    ASSERT_EQ(reasoning, parsed.message.reasoning);
    ASSERT_LE(content.size() + reasoning.size() + parsed.message.unfinished_call.size(), 3 * bytes + ids.size());

    const Naive naive(tokenizer, spelled, ids);
    std::string naive_reasoning;
    for (const std::string& thought : naive.thoughts) naive_reasoning += (naive_reasoning.empty() ? "" : "\n") + thought;
    std::vector<std::string> names;
    for (const ToolCall& call : parsed.message.tool_calls) names.push_back(call.name + call.arguments.dump());
    ASSERT_EQ(content, naive.content) << tokenizer.decode(ids, true);
    ASSERT_EQ(reasoning, naive_reasoning) << tokenizer.decode(ids, true);
    ASSERT_EQ(names, naive.calls) << tokenizer.decode(ids, true);
    ASSERT_EQ(parsed.message.complete, naive.complete) << tokenizer.decode(ids, true);
    calls += names.size(), thoughts += naive.thoughts.size();
  }
  EXPECT_LT(slowest, 1);
  EXPECT_GT(calls, sequences() / 10);  // the sequences reach every state
  EXPECT_GT(thoughts, sequences() / 10);
}

TEST(ResponseParserRandom, EventsDoNotDependOnHowIdsAreHandedOver) {
  const Tokenizer& tokenizer = *test::tiny_tokenizer();
  const Spelled spelled(tokenizer);
  RandomText random(12);
  for (size_t n = (sequences() + 9) / 10; n > 0; --n) {
    const Ids ids = random_ids(random, spelled, tokenizer.vocab_size(), n % 2 == 0);
    const std::vector<ChatEvent> whole = test::parse_ids(tokenizer, ids).events;
    // Read after every id, and the parser moved elsewhere at every place.
    for (size_t split = 0; split <= ids.size(); ++split) {
      ResponseParser parser(tokenizer, true, {});
      std::vector<ChatEvent> all, now;
      const auto push = [&](ResponseParser& p, size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          now.clear();
          p.push(ids[i], now);
          all.insert(all.end(), now.begin(), now.end());
        }
      };
      push(parser, 0, split);
      ResponseParser moved = std::move(parser);
      push(moved, split, ids.size());
      now.clear();
      moved.finish(false, now);
      all.insert(all.end(), now.begin(), now.end());
      ASSERT_TRUE(same(all, whole)) << split << " of " << tokenizer.decode(ids, true);
    }
  }
  // A prompt leaves the parser as the same ids would, had the model generated them. What is about the answer alone begins anew: the numbers of calls, and
  // whether an earlier thought of it asks for a newline in front of the next.
  for (size_t n = (sequences() + 9) / 10; n > 0; --n) {
    const Ids ids = random_ids(random, spelled, tokenizer.vocab_size(), false);
    for (size_t split = 0; split <= ids.size(); ++split) {
      ResponseParser fed(tokenizer, true, {}), prompted(tokenizer, true, std::span(ids).first(split));
      std::vector<ChatEvent> after_fed, after_prompt;
      for (size_t i = 0; i < split; ++i) fed.push(ids[i], after_fed);
      after_fed.clear();
      for (size_t i = split; i < ids.size(); ++i) {
        ASSERT_EQ(fed.in_thought(), prompted.in_thought());
        fed.push(ids[i], after_fed), prompted.push(ids[i], after_prompt);
      }
      fed.finish(true, after_fed), prompted.finish(true, after_prompt);
      for (std::vector<ChatEvent>* events : {&after_fed, &after_prompt}) {
        bool first = true;
        for (ChatEvent& event : *events) {
          event.call.id.clear();
          if (event.kind == ChatEvent::Kind::reasoning && std::exchange(first, false)) event.text.erase(0, event.text.find_first_not_of('\n'));
        }
      }
      ASSERT_TRUE(same(after_fed, after_prompt)) << split << " of " << tokenizer.decode(ids, true);
      ASSERT_EQ(fed.message().complete, prompted.message().complete);
      ASSERT_EQ(fed.message().unfinished_call, prompted.message().unfinished_call);
    }
  }
}

TEST(ResponseParserRandom, LongAnswersTakeLinearTimeAndTheMemoryOfTheirText) {
  const Tokenizer& tokenizer = *test::tiny_tokenizer();
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string unit : {"<|channel>", "<|tool_call>", "<|\"|>", "<|channel>thought\na<channel|>", "<|tool_call>call:f{a:1}<tool_call|>",
                                 "<|tool_call>call:f{", "<channel|>", "{", "\n", "call:f{a:["}) {
    const Ids ids = test::answer_ids(tokenizer, unit);
    for (const char* opener : {"", "<|channel>thought\n", "<|channel>", "<|tool_call>call:f{", "<|tool_call>"}) {
      ResponseParser parser(tokenizer, true, test::answer_ids(tokenizer, opener), {.max_call_bytes = 100000});
      std::vector<ChatEvent> events;
      for (size_t i = 0; i < 300000; ++i) {
        parser.push(ids[i % ids.size()], events);
        events.clear();
      }
      parser.finish(true, events);
      const ParsedMessage& message = parser.message();
      EXPECT_LE(message.content.size() + message.reasoning.size() + message.unfinished_call.size(), 300000 * std::string_view("<|tool_call>").size());
    }
  }
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 60);
}

}  // namespace
}  // namespace carat
