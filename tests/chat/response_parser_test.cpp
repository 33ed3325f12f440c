// Answers to messages. They are spelled as text; the tokenizer makes markers of what is spelled so, unless a test says otherwise.
#include "chat/response_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "chat/answer_ids.h"

namespace carat {
namespace {

using test::answer_ids;
using test::Ids;
using test::joined;
using test::parse_answer;
using test::parse_ids;
using test::Parsed;
using test::tiny_tokenizer;

std::string calls(const Parsed& parsed) {
  std::string out;
  for (const ToolCall& call : parsed.message.tool_calls) out += call.name + call.arguments.dump() + ";";
  return out;
}

struct Case {
  std::string_view answer, reasoning, content, calls;
};

template <typename Cases>
void expect_all(const Tokenizer& tokenizer, const Cases& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.answer);
    const Parsed parsed = parse_ids(tokenizer, answer_ids(tokenizer, c.answer));
    EXPECT_EQ(parsed.message.reasoning, c.reasoning);
    EXPECT_EQ(parsed.message.content, c.content);
    EXPECT_EQ(calls(parsed), c.calls);
    EXPECT_FALSE(parsed.done);
    EXPECT_FALSE(parsed.message.complete);  // no stop token came
    const Parsed ended = parse_ids(tokenizer, answer_ids(tokenizer, std::string(c.answer) + "<turn|>"));
    EXPECT_TRUE(ended.done);
    EXPECT_TRUE(ended.message.complete);
    EXPECT_EQ(joined(ended.events), joined(parsed.events));
  }
}

constexpr Case kReference[] = {
    {"Hello, world!", "", "Hello, world!", ""},
    {"<|channel>thought\nI'm\nthinking<channel|>Hello, world!\nWhat's up?", "I'm\nthinking", "Hello, world!\nWhat's up?", ""},
    {"<|channel>thought\nI'm\nthinking\n<channel|>Hello", "I'm\nthinking", "Hello", ""},
    {"<|channel>thought<channel|>Hello, world!\nWhat's up?", "", "Hello, world!\nWhat's up?", ""},
    {"<|channel>thought\n<channel|>Hi", "", "Hi", ""},
    {"<|tool_call>call:get_time{city:<|\"|>San Francisco<|\"|>}<tool_call|>", "", "", R"(get_time{"city":"San Francisco"};)"},
    {"<|tool_call>call:empty_args{}<tool_call|>", "", "", "empty_args{};"},
    {"<|tool_call>call:special_function{arg1:42}<tool_call|>", "", "", R"(special_function{"arg1":42};)"},
    {"<|tool_call>call:special_function{arg1:-7}<tool_call|>", "", "", R"(special_function{"arg1":-7};)"},
    {"<|tool_call>call:amount{orig:3.14}<tool_call|>", "", "", R"(amount{"orig":3.14};)"},
    {"<|tool_call>call:amount{orig:1.5e10}<tool_call|>", "", "", R"(amount{"orig":15000000000.0};)"},
    {"<|tool_call>call:toggle{enabled:true}<tool_call|>", "", "", R"(toggle{"enabled":true};)"},
    {"<|tool_call>call:toggle{enabled:false}<tool_call|>", "", "", R"(toggle{"enabled":false};)"},
    {"<|tool_call>call:set_nullable{value:null}<tool_call|>", "", "", R"(set_nullable{"value":null};)"},
    {"<|tool_call>call:todo_list{todos:[<|\"|>buy milk<|\"|>,<|\"|>walk dog<|\"|>]}<tool_call|>", "", "", R"(todo_list{"todos":["buy milk","walk dog"]};)"},
    {"<|tool_call>call:todo_list{todos:[]}<tool_call|>", "", "", R"(todo_list{"todos":[]};)"},
    {"<|tool_call>call:set_config{config:{theme:<|\"|>dark<|\"|>,count:3}}<tool_call|>", "", "", R"(set_config{"config":{"theme":"dark","count":3}};)"},
    {"<|tool_call>call:set_config{config:{}}<tool_call|>", "", "", R"(set_config{"config":{}};)"},
    {"Hello, world!\nWhat's up?<|tool_call>call:get_time{city:<|\"|>Paris<|\"|>}<tool_call|>", "", "Hello, world!\nWhat's up?", R"(get_time{"city":"Paris"};)"},
    {"<|tool_call>call:a{city:<|\"|>London<|\"|>}<tool_call|><|tool_call>call:b{city:<|\"|>Paris<|\"|>}<tool_call|>", "", "",
     R"(a{"city":"London"};b{"city":"Paris"};)"},
    {"<|channel>thought\nneed tool\n<channel|><|tool_call>call:f{}<tool_call|>", "need tool", "", "f{};"},
    {"<|channel>thought\n<channel|>Hello, world!\nWhat's up?<|channel>thought\n<channel|>", "", "Hello, world!\nWhat's up?", ""},
    {"Hello, world!\nWhat's up?<channel|>", "", "Hello, world!\nWhat's up?", ""},
    {"<|channel>thought\n<channel|>Hello<channel|><channel|>", "", "Hello", ""},
    {"<|channel><|channel>thought\nI'm\nthinking<channel|>Hello", "I'm\nthinking", "Hello", ""},
};

void expect_all(std::initializer_list<Case> cases) { expect_all(*tiny_tokenizer(), cases); }

TEST(ResponseParser, ReferenceAnswers) { expect_all(*tiny_tokenizer(), kReference); }

TEST(ResponseParser, ReferenceAnswersWithTheRealVocabulary) {
  if (const std::string missing = test::missing_gemma4(); !missing.empty()) GTEST_SKIP() << missing;
  expect_all(*test::gemma4_tokenizer(), kReference);
}

TEST(ResponseParser, Thoughts) {
  expect_all({
      {"<|channel>thought\na<channel|>x<|channel>thought\nb\n\n<channel|>y", "a\nb", "xy", ""},            // several
      {"<|channel>thought\n<channel|>x<|channel>thought\nb<channel|>", "b", "x", ""},                      // the empty one joins nothing
      {"<|channel>thought\n\n\n<channel|><|channel>thought\n\nb\n\nc<channel|>", "\nb\n\nc", "", ""},      // newlines at the end alone go
      {"<|channel>thought a<channel|>x", "a", "x", ""},                                                    // any white space ends the name
      {"<|channel>analysis\nabout it<channel|>x", "about it", "x", ""},                                    // another name
      {"<|channel>\nabout it<channel|>x", "about it", "x", ""},                                            // none
      {"<|channel>thoughtful\nabout it<channel|>x", "about it", "x", ""},                                  // not the name we know
      {"<|channel>thought\na<|channel>b<channel|>x", "ab", "x", ""},                                       // an opener within
      {"<|channel>thou<|channel>thought\na<channel|>x", "a", "x", ""},                                     // begun again
      {"<|channel>thought\na\n<|tool_call>call:f{}<tool_call|> x", "a", " x", "f{};"},                     // closed by a call
      {"<|channel>thought<|tool_call>call:f{}<tool_call|>", "", "", "f{};"},                               // ... before it began
      {"x<channel|> y", "", "x y", ""},                                                                    // a closer alone closes nothing
      {"<|channel>thought\na<|tool><|think|><|\"|><tool_response|>b<channel|>x<|tool>y", "ab", "xy", ""},  // markers that mean nothing
  });
  const std::string long_line(200, 'a');  // no name is that long
  EXPECT_EQ(parse_answer("<|channel>" + long_line + "<channel|>x").message.reasoning, long_line);
}

TEST(ResponseParser, WhiteSpaceIsKeptButAfterAThought) {
  expect_all({
      {" \n x \n", "", " \n x \n", ""},
      {"<|channel>thought\na<channel|>\n\n \tx \n", "a", "x \n", ""},
      {"<|channel>thought\n  a  <channel|>x", "  a  ", "x", ""},
      {"x \n<|channel>thought\na<channel|>\ny\n<|channel>thought\nb<channel|>\n", "a\nb", "x \ny\n", ""},
      {"<|channel>thought\na<channel|>\n<|tool_call>call:f{}<tool_call|>\nx", "a", "\nx", "f{};"},
  });
}

TEST(ResponseParser, ContentAndCallsInAnyOrder) {
  expect_all({
      {"Let me check.<|tool_call>call:f{a:1}<tool_call|>Done.", "", "Let me check.Done.", R"(f{"a":1};)"},
      {"<|tool_call><|tool_call>call:f{}<tool_call|>", "", "", "f{};"},  // doubled opener
      {"x<tool_call|>y", "", "xy", ""},                                  // a closer alone
  });
  const Parsed parsed = parse_answer("a<|tool_call>call:f{}<tool_call|><|tool_call>call:f{}<tool_call|>b<|channel>thought\nc<channel|>d<|tool_response>e");
  EXPECT_EQ(joined(parsed.events), "\n[content] a\n[call] call_0 f {}\n[call] call_1 f {}\n[content] b\n[reasoning] c\n[content] d");
  EXPECT_TRUE(parsed.done);
  EXPECT_TRUE(parsed.message.complete);
}

TEST(ResponseParser, WhatIsNoCallIsContentWithItsMarkers) {
  expect_all({
      {"<|tool_call>get_time{}<tool_call|>", "", "<|tool_call>get_time{}<tool_call|>", ""},
      {"<|tool_call>call:f{a:<|\"|>x<|\"|>]}<tool_call|> y", "", "<|tool_call>call:f{a:<|\"|>x<|\"|>]}<tool_call|> y", ""},
      {"<|tool_call>call:f{a:1<tool_call|>", "", "<|tool_call>call:f{a:1<tool_call|>", ""},
      {"<|tool_call>call:f{a:<|\"|>x}<tool_call|>", "", "<|tool_call>call:f{a:<|\"|>x}<tool_call|>", ""},
      {"<|tool_call><tool_call|>x", "", "<|tool_call><tool_call|>x", ""},
      // A call that holds other markers is not run: who knows what is meant.
      {"<|tool_call>call:f{}<|tool_call>call:g{}<tool_call|>", "", "<|tool_call>call:f{}<|tool_call>call:g{}<tool_call|>", ""},
      {"<|tool_call>call:f{a:<|\"|>x<channel|><|\"|>}<tool_call|>", "", "<|tool_call>call:f{a:<|\"|>x<channel|><|\"|>}<tool_call|>", ""},
      {"<|tool_call>call:f{a:<|image|>1}<tool_call|>", "", "<|tool_call>call:f{a:<|image|>1}<tool_call|>", ""},
      {"<|channel>thought\na<channel|> <|tool_call>x<tool_call|>", "a", "<|tool_call>x<tool_call|>", ""},
  });
}

TEST(ResponseParser, TheEnd) {
  const auto end = [](std::string_view answer, bool stopped = false) {
    Parsed parsed = parse_answer(answer);
    ResponseParser parser(*tiny_tokenizer(), true, {});
    std::vector<ChatEvent> events;
    for (const TokenId id : answer_ids(*tiny_tokenizer(), answer)) parser.push(id, events);
    parser.finish(stopped, events);
    EXPECT_EQ(parser.message().content, parsed.message.content);
    return parser.message();
  };
  for (const std::string_view stop : {"<eos>", "<turn|>", "<|tool_response>", "<|turn>"}) {
    SCOPED_TRACE(stop);
    const std::string ends(stop);
    EXPECT_TRUE(end("x" + ends + "y<|tool_call>call:f{}<tool_call|>").complete);  // nothing comes after it
    EXPECT_EQ(end("x" + ends + "y").content, "x");
    EXPECT_TRUE(end(ends).complete);
    EXPECT_FALSE(end("<|channel>thought\nx" + ends).complete);
    EXPECT_EQ(end("<|channel>thought\nx\n" + ends).reasoning, "x");
    EXPECT_EQ(end("<|channel>thought\nx" + ends).content, "");
    EXPECT_FALSE(end("<|channel>thou" + ends).complete);
    EXPECT_EQ(end("<|channel>thou" + ends).reasoning, "");
    const ParsedMessage cut = end("a<|tool_call>call:f{a:<|\"|>x" + ends);
    EXPECT_FALSE(cut.complete);
    EXPECT_TRUE(cut.tool_calls.empty());
    EXPECT_EQ(cut.content, "a");
    EXPECT_EQ(cut.unfinished_call, "<|tool_call>call:f{a:<|\"|>x");
    EXPECT_TRUE(end("<|tool_call>call:f{}" + ends).tool_calls.empty());  // whole but for its closer
    EXPECT_EQ(end("<|tool_call>call:f{}" + ends).unfinished_call, "<|tool_call>call:f{}");
    const ParsedMessage prose = end("<|tool_call>I should call" + ends);  // nothing that could become a call
    EXPECT_EQ(prose.content, "<|tool_call>I should call");
    EXPECT_FALSE(prose.complete);
  }
  EXPECT_FALSE(end("x").complete);
  EXPECT_TRUE(end("x", true).complete);  // the stop token was not pushed
  EXPECT_FALSE(end("<|channel>thought\nx", true).complete);
  EXPECT_FALSE(end("<|tool_call>call:f{}", true).complete);
  EXPECT_EQ(end("<|tool_call>call:f{}").unfinished_call, "<|tool_call>call:f{}");
}

TEST(ResponseParser, AfterTheEndEverythingIsIgnored) {
  ResponseParser parser(*tiny_tokenizer(), true, {});
  std::vector<ChatEvent> events;
  parser.finish(true, events);
  EXPECT_TRUE(parser.done());
  for (const TokenId id : answer_ids(*tiny_tokenizer(), "x<|channel>thought\ny<channel|>")) parser.push(id, events);
  parser.finish(false, events);
  EXPECT_TRUE(events.empty());
  EXPECT_TRUE(parser.message().complete);
}

TEST(ResponseParser, MarkersOfOrdinaryTokensAreText) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const std::string text = "<|channel>thought\nx<channel|><|tool_call>call:f{a:<|\"|>y<|\"|>}<tool_call|><turn|><eos><|turn>";
  const Ids plain = tokenizer.encode(text, test::kText);
  EXPECT_EQ(parse_ids(tokenizer, plain).message.content, text);
  // Within thoughts and the strings of calls as well.
  const auto within = [&](std::string_view before, std::string_view after) {
    Ids ids = answer_ids(tokenizer, before);
    ids.insert(ids.end(), plain.begin(), plain.end());
    const Ids rest = answer_ids(tokenizer, after);
    ids.insert(ids.end(), rest.begin(), rest.end());
    return parse_ids(tokenizer, ids);
  };
  EXPECT_EQ(within("<|channel>thought\n", "<channel|>").message.reasoning, text);
  const Parsed call = within("<|tool_call>call:f{a:<|\"|>", "<|\"|>}<tool_call|>");
  ASSERT_EQ(call.message.tool_calls.size(), 1U);
  EXPECT_EQ(call.message.tool_calls[0].arguments, Json({{"a", text}}));
}

TEST(ResponseParser, VocabulariesWithoutAMarkerNeverHaveItsState) {
  // Gemma 3's file: no thoughts, its channel markers are ordinary tokens there.
  const auto tokenizer = Tokenizer::load(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-gemma3-Q4_K_M.gguf");
  const TokenId opener = tokenizer->find("<|channel>").value();
  ASSERT_EQ(tokenizer->kind(opener), TokenKind::normal);
  const Parsed parsed = parse_ids(*tokenizer, Ids{opener, tokenizer->find("a").value()});
  EXPECT_EQ(parsed.message.content, "<|channel>a");
  EXPECT_TRUE(ResponseParser::has_markers(*tokenizer));  // those of calls
  if (const std::string missing = test::missing_gemma3(); !missing.empty()) GTEST_SKIP() << missing;
  const Tokenizer& gemma3 = *test::gemma3_tokenizer();
  EXPECT_FALSE(ResponseParser::has_markers(gemma3));
  const std::string text = "<|channel>thought\nx<channel|><|tool_call>call:f{}<tool_call|>";
  for (const bool gemma4 : {false, true}) {
    const Parsed plain = parse_ids(gemma3, gemma3.encode(text + "<end_of_turn>y", test::kParsed), {}, {}, gemma4);
    EXPECT_EQ(plain.message.content, text);
    EXPECT_TRUE(plain.message.complete);
  }
}

TEST(ResponseParser, WithoutGemma4EverythingIsContent) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const Parsed parsed = parse_ids(tokenizer, answer_ids(tokenizer, " a<|channel>b<channel|>c<|tool_call>d<|tool_response><eos>e"), {},
                                  answer_ids(tokenizer, "<|channel>thought\n"), false);
  EXPECT_EQ(parsed.message.content, " a<|channel>b<channel|>c<|tool_call>d<|tool_response>");  // user-defined tokens are text, control tokens are not
  EXPECT_TRUE(parsed.message.complete);
}

TEST(ResponseParser, ThePromptSaysWhereTheAnswerBegins) {
  const auto begins = [](std::string_view prompt, std::string_view answer) { return joined(parse_answer(answer, {}, prompt).events); };
  EXPECT_EQ(begins("<bos><|turn>user\nHi<turn|>\n<|turn>model\n", "x"), "\n[content] x");
  EXPECT_EQ(begins("<|turn>model\n<|channel>thought\n<channel|>", "\nx"), "\n[content] x");  // directly after a thought
  EXPECT_EQ(begins("<|turn>model\n<|channel>thought\n", "a\n<channel|>x"), "\n[reasoning] a\n[content] x");
  EXPECT_EQ(begins("<|channel>thought\nso far", " on<channel|>x"), "\n[reasoning]  on\n[content] x");
  EXPECT_EQ(begins("<|channel>", "thought\na<channel|>x"), "\n[reasoning] a\n[content] x");
  EXPECT_EQ(begins("<|turn>model\n<|channel>thought\n<channel|>Hello, ", "\nworld"), "\n[content] \nworld");
  EXPECT_EQ(begins("<|turn>model\n<|tool_call>call:f{}<tool_call|><|tool_response>response:f{value:<|\"|>x<|\"|>}<tool_response|>", "\nx"), "\n[content] \nx");
  EXPECT_EQ(begins("<|tool_call>call:f{}<tool_call|><|tool_response>response:f{}<tool_response|><|channel>thought\n", "a<channel|>x"),
            "\n[reasoning] a\n[content] x");
  EXPECT_EQ(begins("<|channel>thought\nnever closed<turn|>\n<|turn>model\n", "x"), "\n[content] x");  // an older turn's
  EXPECT_EQ(begins("<|turn>model\n<|tool_call>call:f{a:", "1}<tool_call|>"), "\n[call] call_0 f {\"a\":1}");

  ResponseParser parser(*tiny_tokenizer(), true, answer_ids(*tiny_tokenizer(), "<|channel>thought\nso far"));
  EXPECT_TRUE(parser.in_thought());
  EXPECT_EQ(parser.thought_tokens(), 0);  // of the answer
}

TEST(ResponseParser, ThoughtsAreCountedForABudget) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  ResponseParser parser(tokenizer, true, {});
  std::vector<ChatEvent> events;
  int32_t inside = 0;
  for (const TokenId id : answer_ids(tokenizer, "x<|channel>thought\nsome thought<channel|>more<|channel>thought\nb<channel|>")) {
    const bool closer = id == tokenizer.find("<channel|>");
    inside += parser.in_thought() && !closer ? 1 : 0;
    parser.push(id, events);
    EXPECT_EQ(parser.thought_tokens(), inside);
  }
  EXPECT_FALSE(parser.in_thought());
  EXPECT_GT(inside, 10);
  EXPECT_EQ(parse_answer("x<|channel><|channel>thought\na<|think|>b<channel|><channel|>y<tool_call|><bos>").dropped, 5);
}

// The tiny vocabulary, with <unk> of a kind of its own as some files have it.
class WithUnknown : public Tokenizer {
 public:
  Ids encode(std::string_view text, const EncodeOptions& options) const override { return tiny_tokenizer()->encode(text, options); }
  int32_t vocab_size() const override { return tiny_tokenizer()->vocab_size(); }
  TokenKind kind(TokenId id) const override { return id == unknown ? TokenKind::unknown : tiny_tokenizer()->kind(id); }
  std::string_view piece(TokenId id) const override { return tiny_tokenizer()->piece(id); }
  std::optional<TokenId> find(std::string_view text) const override { return tiny_tokenizer()->find(text); }
  const TokenId unknown = tiny_tokenizer()->find("<unk>").value();
};

TEST(ResponseParser, TheUnknownTokenIsNoText) {
  const WithUnknown tokenizer;
  Ids ids = answer_ids(tokenizer, "x<|tool_call>call:f{a:1}<tool_call|>");
  ids.insert(ids.begin(), tokenizer.unknown);
  Parsed parsed = parse_ids(tokenizer, ids);
  EXPECT_EQ(parsed.message.content, "x");
  EXPECT_EQ(parsed.message.tool_calls.size(), 1U);
  EXPECT_EQ(parsed.dropped, 1);
  ids.insert(ids.end() - 3, tokenizer.unknown);
  parsed = parse_ids(tokenizer, ids);
  EXPECT_EQ(parsed.message.content, "x<|tool_call>call:f{a:<unk>1}<tool_call|>");
}

TEST(ResponseParser, Options) {
  const std::string two = "a<|tool_call>call:f{}<tool_call|><|tool_call>call:g{}<tool_call|>";
  Parsed one = parse_answer(two, {.parallel_tool_calls = false});
  EXPECT_EQ(calls(one), "f{};");
  EXPECT_TRUE(one.done);
  EXPECT_TRUE(one.message.complete);
  // Neither what is no call counts, nor one of the prompt.
  one = parse_answer("<|tool_call>x<tool_call|>" + two, {.parallel_tool_calls = false}, "<|turn>model\n<|tool_call>call:e{}<tool_call|>b");
  EXPECT_EQ(calls(one), "f{};");
  EXPECT_EQ(parse_answer(two, {.call_id_prefix = "id-"}).message.tool_calls[1].id, "id-1");

  const std::string everything = "<|channel>thought\na\n<channel|>\nb<|tool_call>call:f{a:<|\"|>x<|\"|>}<tool_call|><|think|>";
  Parsed raw = parse_answer(everything + "<turn|>c", {.markers_as_content = true}, "<|channel>thought\n");
  EXPECT_EQ(joined(raw.events), "\n[content] " + everything);
  EXPECT_TRUE(raw.message.complete);

  const Json schema = {{"type", "object"}, {"properties", {{"zip", {{"type", "string"}}}, {"n", {{"type", "integer"}}}}}};
  const Json tools = Json::array({{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", schema}}}}});
  const Parsed typed = parse_answer("<|tool_call>call:f{zip:1234,n:<|\"|>3<|\"|>}<tool_call|><|tool_call>call:g{zip:1234}<tool_call|>", {.tools = tools});
  EXPECT_EQ(calls(typed), R"(f{"zip":"1234","n":3};g{"zip":1234};)");  // an unknown tool's arguments as they are written
}

TEST(ResponseParser, CallsHaveALimit) {
  const auto call = [](size_t n) { return "<|tool_call>call:f{a:<|\"|>" + std::string(n, 'x') + "<|\"|>}<tool_call|>"; };
  const size_t fits = 100 - std::string_view("call:f{a:}").size() - 2 * sizeof(size_t);
  EXPECT_EQ(parse_answer(call(fits), {.max_call_bytes = 100}).message.tool_calls.size(), 1U);
  const Parsed over = parse_answer(call(fits + 1) + "y", {.max_call_bytes = 100});
  EXPECT_TRUE(over.message.tool_calls.empty());
  EXPECT_EQ(over.message.content, "<|tool_call>call:f{a:<|\"|>" + std::string(fits + 1, 'x') + "<|\"|>}y");  // its closer closes nothing any more
  // String markers count, too: they take no text.
  std::string marks = "<|tool_call>call:f{";
  for (int i = 0; i < 100; ++i) marks += "<|\"|>";
  EXPECT_EQ(parse_answer(marks, {.max_call_bytes = 100}).message.content.substr(0, 24), "<|tool_call>call:f{<|\"|>");
}

TEST(ResponseParser, CharactersAreNeverSplit) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const auto byte = [&](int b) {
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    return tokenizer.find(std::string("<0x") + kHex[static_cast<size_t>(b / 16)] + kHex[static_cast<size_t>(b % 16)] + ">").value();
  };
  const auto marker = [&](std::string_view text) { return tokenizer.find(text).value(); };
  const Ids emoji = {byte(0xF0), byte(0x9F), byte(0x98), byte(0x80)};  // U+1F600
  ResponseParser parser(tokenizer, true, {});
  std::vector<ChatEvent> events;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(events.empty());
    parser.push(emoji[i], events);
  }
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].text, "😀");
  // What is cut off belongs to what was before, as one U+FFFD a byte; also at the end.
  const Ids cut = {marker("<|channel>"), marker("\n"), byte(0xF0), byte(0x9F), marker("<channel|>"), byte(0x98), byte(0x80), byte(0xC3)};
  const Parsed parsed = parse_ids(tokenizer, cut);
  EXPECT_EQ(parsed.message.reasoning, "\uFFFD\uFFFD");
  EXPECT_EQ(parsed.message.content, "\uFFFD\uFFFD\uFFFD");
  for (const ChatEvent& event : parsed.events) EXPECT_TRUE(utf8_valid(event.text));
  Ids call = answer_ids(tokenizer, "<|tool_call>call:f{a:<|\"|>");
  call.push_back(byte(0xE2));
  for (const TokenId id : answer_ids(tokenizer, "<|\"|>}<tool_call|>")) call.push_back(id);
  EXPECT_EQ(calls(parse_ids(tokenizer, call)), "f{\"a\":\"\uFFFD\"};");
}

TEST(ResponseParser, IdsOutsideTheVocabularyAreDropped) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const TokenId a = tokenizer.find("a").value();
  const Ids ids = {-1, a, tokenizer.vocab_size(), INT32_MAX, INT32_MIN, a};
  EXPECT_EQ(parse_ids(tokenizer, ids, {}, ids).message.content, "aa");
}

}  // namespace
}  // namespace carat
