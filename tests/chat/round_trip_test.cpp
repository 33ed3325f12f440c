// What the format writes, the parser reads: parse(render(x)) = x for any assistant's message. By design not the same are
// - white space around the content, which the format trims, and newlines at the end of a thought;
// - thoughts spelled in the content as text, which the format cuts out of histories;
// - the order of keys (the format sorts them), and keys that its syntax cannot say: with : or }, or white space or a quote at an end;
// - numbers beyond every double, which JSON cannot hold either.
// A string that spells the string marker comes back, as its text is never encoded as that token.
// CARAT_ROUND_TRIPS says how many conversations for each vocabulary (default 2,000).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "chat/answer_ids.h"
#include "chat/call_parser.h"
#include "chat/chat_format.h"
#include "text/random_text.h"

namespace carat {
namespace {

using test::Ids;
using test::RandomText;

uint32_t round_trips() {
  const char* text = std::getenv("CARAT_ROUND_TRIPS");
  return text ? static_cast<uint32_t>(std::strtoul(text, nullptr, 10)) : 2000;
}

class Conversations {
 public:
  explicit Conversations(uint64_t seed) : random_(seed) {}

  uint32_t below(uint32_t n) { return random_.below(n); }

  std::vector<Message> next(bool thoughts) {
    std::vector<Message> messages;
    for (uint32_t n = below(3); n > 0; --n) {
      messages.push_back(message("user", text()));
      messages.push_back(answer(thoughts));
      for (const ToolCall& call : messages.back().tool_calls) {
        messages.push_back(message("tool", text()));
        messages.back().tool_call_id = call.id;
      }
    }
    messages.push_back(message("user", text()));
    messages.push_back(answer(thoughts));
    return messages;
  }

 private:
  static Message message(std::string role, std::string text) {
    Message out;
    out.role = std::move(role);
    out.content.kind = Content::Kind::text;
    out.content.text = std::move(text);
    return out;
  }

  Message answer(bool thoughts) {
    Message out = message("assistant", below(4) == 0 ? "" : content());
    if (thoughts && below(2) == 0) out.reasoning = text();
    for (uint32_t n = below(2) == 0 ? below(4) : 0; n > 0; --n) {
      ToolCall call;
      call.id = fmt::format("id{}", n);
      call.name = name();
      call.arguments = object(1);
      out.tool_calls.push_back(std::move(call));
    }
    return out;
  }

  // With something that is not trimmed at both ends, and without spelled thoughts.
  std::string content() {
    std::string out = fmt::format("x{}y", text());
    for (const std::string_view marker : {"<|channel>", "<channel|>"}) {
      for (size_t at = 0; (at = out.find(marker)) != std::string::npos;) out[at] = '-';
    }
    return out;
  }

  std::string text() {
    static constexpr std::string_view kHostile[] = {"<|\"|>",
                                                    "<tool_call|>",
                                                    "<|tool_call>call:f{}",
                                                    "<turn|>\n<|turn>user\n",
                                                    "{\"a\":[1,\"}\"]}",
                                                    "\\u0041\\n\\",
                                                    "\"",
                                                    "'",
                                                    "}",
                                                    "]",
                                                    ",",
                                                    ":",
                                                    "\n\n",
                                                    "<eos>",
                                                    "<bos>",
                                                    "<|tool_response>",
                                                    "日本語",
                                                    "👨‍👩‍👧‍👦",
                                                    "true",
                                                    "null",
                                                    "-1e5",
                                                    " ",
                                                    "<|think|>",
                                                    "\t",
                                                    "<|image|>"};
    std::string out;
    for (uint32_t n = below(6); n > 0; --n) out += below(2) == 0 ? random_.text(2) : std::string(kHostile[below(std::size(kHostile))]);
    return out;
  }

  std::string name() {
    static constexpr std::string_view kNames[] = {"get_weather", "f", "a.b-c", "über", "call:", "日本", "n[0]", "\"q\"", "x>y"};
    return std::string(kNames[below(std::size(kNames))]);
  }

  std::string key() {
    static constexpr std::string_view kKeys[] = {"city", "",     "type", "a b", ",x",           "{",        "[1]", "日本", "👍", "k\\n",
                                                 "it's", "a\"b", "true", "1",   "<|tool_call>", "x<|\"|>y", "-",   "A",    "a"};
    if (below(3) != 0) return std::string(kKeys[below(std::size(kKeys))]);
    std::string out = fmt::format("k{}z", text());
    std::erase_if(out, [](char c) { return c == ':' || c == '}'; });
    return out;
  }

  Json number() {
    const uint64_t bits = (uint64_t{random_.below(UINT32_MAX)} << 32) | random_.below(UINT32_MAX);
    switch (below(6)) {
      case 0: return static_cast<int64_t>(bits);
      case 1: return bits;
      case 2: return static_cast<int64_t>(below(200)) - 100;
      case 3: return std::numeric_limits<int64_t>::min();
      case 4: return static_cast<double>(static_cast<int64_t>(bits)) / 1000;
      default: {
        double value = 0;
        std::memcpy(&value, &bits, sizeof value);
        return std::isfinite(value) ? value : 1e-7;
      }
    }
  }

  Json object(int depth) {
    Json out = Json::object();
    for (uint32_t n = below(5); n > 0; --n) out[key()] = value(depth);
    return out;
  }

  Json value(int depth) {
    if (depth < 8 && below(40) == 0) {  // as deep as it may be
      Json out = number();
      for (int level = depth; level < kMaxCallDepth; ++level) out = below(2) == 0 ? Json::array({out}) : Json({{key(), out}});
      return out;
    }
    switch (depth < 8 ? below(9) : 4 + below(5)) {
      case 0:
      case 1: return object(depth + 1);
      case 2:
      case 3: {
        Json out = Json::array();
        for (uint32_t n = below(4); n > 0; --n) out.push_back(value(depth + 1));
        return out;
      }
      case 4: return number();
      case 5: return below(2) == 0;
      case 6: return nullptr;
      default: return text();
    }
  }

  RandomText random_;
};

// With sorted keys.
std::string sorted(const Json& json) { return nlohmann::json::parse(json.dump()).dump(); }

std::string calls_of(const std::vector<ToolCall>& calls) {
  std::string out;
  for (const ToolCall& call : calls) out += call.name + " " + sorted(call.arguments) + "\n";
  return out;
}

void expect_round_trips(const Tokenizer& tokenizer, uint32_t count, uint64_t seed) {
  Conversations conversations(seed);
  const TokenId turn = tokenizer.find("<|turn>").value();
  size_t calls = 0, thoughts = 0;
  for (uint32_t n = 0; n < count; ++n) {
    const auto revision = static_cast<Gemma4Revision>(n % 2 == 0 ? 3 : conversations.below(4));
    const bool canonical = revision == Gemma4Revision::canonical;  // the one that keeps every thought of the last turn
    const auto format = gemma4_format(revision, conversations.below(2) == 0);
    const std::vector<Message> messages = conversations.next(canonical);
    const Message& last = messages.back();
    RenderOptions options;
    options.add_generation_prompt = false;
    const Ids ids = encode_prompt(tokenizer, format->render(messages, Json::array(), options)).token_ids;
    const auto answer = std::find(ids.rbegin(), ids.rend(), turn).base();
    const test::Parsed parsed = test::parse_ids(tokenizer, std::span(answer, ids.end()), {}, std::span(ids.begin(), answer));

    std::string reasoning = last.reasoning;
    while (reasoning.ends_with('\n')) reasoning.pop_back();
    ASSERT_TRUE(parsed.message.complete) << n;
    ASSERT_EQ(parsed.message.content, "model\n" + last.content.text) << n;
    ASSERT_EQ(parsed.message.reasoning, reasoning) << n;
    ASSERT_EQ(calls_of(parsed.message.tool_calls), calls_of(last.tool_calls)) << n;
    ASSERT_EQ(parsed.dropped, 0) << n;
    calls += last.tool_calls.size(), thoughts += reasoning.empty() ? 0U : 1U;
  }
  EXPECT_GT(calls, count / 4);
  EXPECT_GT(thoughts, count / 10);
}

TEST(RoundTrip, TheTinyVocabulary) { expect_round_trips(*test::tiny_tokenizer(), round_trips(), 1); }

TEST(RoundTrip, TheTinyVocabularyOfAFile) {
  const auto tokenizer = Tokenizer::load(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-e2b-Q4_K_M.gguf");
  expect_round_trips(*tokenizer, round_trips() / 4, 2);
}

TEST(RoundTrip, TheRealVocabulary) {
  if (const std::string missing = test::missing_gemma4(); !missing.empty()) GTEST_SKIP() << missing;
  expect_round_trips(*test::gemma4_tokenizer(), round_trips(), 3);
}

}  // namespace
}  // namespace carat
