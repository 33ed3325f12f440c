// Encoding and decoding against ids that other tokenizers gave, for the real vocabulary and for the tiny one.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include "text/random_text.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

TEST(TokenizerGolden, RealVocabulary) {
  if (const std::string why = missing_gemma4() + missing_golden(); !why.empty()) GTEST_SKIP() << why;
  const Tokenizer& tokenizer = *gemma4_tokenizer();
  const Json cases = read_json(golden("tokenizer/gemma4_real_vocab.json")).at("cases");
  size_t plain = 0;
  for (const Json& c : cases) {
    const std::string text = c.at("text").get<std::string>();
    const Ids ids = c.at("ids").get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, kParsed), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids, true), c.at("decoded").get<std::string>()) << text;
    if (!c.contains("ids_plain")) continue;
    ++plain;
    EXPECT_EQ(tokenizer.encode(text, kText), c.at("ids_plain").get<Ids>()) << text;
  }
  EXPECT_EQ(cases.size(), 419u);
  EXPECT_EQ(plain, 415u);
}

TEST(TokenizerGolden, TinyVocabulary) {
  const Json cases = read_json(text_data("tiny_cases.json")).at("cases");
  for (const Json& c : cases) {
    const std::string text = c.at("text").get<std::string>();
    EXPECT_EQ(tiny_tokenizer()->encode(text, kParsed), c.at("ids").get<Ids>()) << text;
  }
  EXPECT_EQ(cases.size(), 381u);
}

TEST(TokenizerGolden, OurCopyIsTheReferences) {
  if (const std::string why = missing_golden(); !why.empty()) GTEST_SKIP() << why;
  EXPECT_EQ(read_text_file(text_data("tiny_tokenizer.json"), 1 << 20), read_text_file(golden("models/tokenizer/tokenizer.json"), 1 << 20));
  const Json ours = read_json(text_data("tiny_cases.json")).at("cases"), theirs = read_json(golden("tokenizer/tiny_vocab.json")).at("cases");
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].at("text"), theirs[i].at("text"));
    EXPECT_EQ(ours[i].at("ids"), theirs[i].at("ids"));
  }
}

std::string times(size_t n, std::string_view what) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += what;
  return out;
}

struct TextIds {
  std::string text;
  Ids ids;
};

TEST(Gemma4Strings, GiveTheKnownIds) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  const std::vector<TextIds> cases = {
      {"", {}},
      {" ", {236743}},
      {"  ", {138}},
      {"\t", {255968}},
      {"\n", {107}},
      {"\n\n\n", {109}},
      {"\t\n", {255968, 107}},
      {"Hello world", {9259, 1902}},
      {" Hello world", {26352, 1902}},
      {"   Hello", {139, 9259}},
      {"    Hello\n    Hello", {140, 9259, 107, 140, 9259}},
      {"Hello, world!", {9259, 236764, 1902, 236888}},
      {"!!!!!!", {123947}},
      {"\n =", {107, 578}},
      {"' era", {236789, 6933}},
      {"3333", {236800, 236800, 236800, 236800}},
      {"w048 7tuijk dsdfhu", {236765, 236771, 236812, 236828, 236743, 236832, 11372, 12065, 31806, 3405, 9360}},
      {" this is 🦙.cpp", {672, 563, 236743, 478, 397, 404, 391, 236761, 12362}},
      {"\u00C4pfel", {239122, 22744, 535}},
      {"A\u0308pfel", {236776, 241151, 22744, 535}},
      {"ied 4 ½ months", {1178, 236743, 236812, 47041, 3794}},
      {times(31, "\n"), {137}},
      {times(32, "\n"), {137, 107}},
      {times(70, "\n"), {137, 137, 114}},
      {times(32, " "), {167, 236743}},
      {times(32, " ") + "x", {167, 1123}},
      {times(65, " "), {167, 167, 139}},
      {times(40, "\t"), {255998, 255976}},
      {"> </", {107068}},
      {"<|turn", {236820, 236909, 887}},
      {"<<|turn>>", {236820, 105, 236813}},
      {"<|turn><|turn>", {105, 105}},
      {"thought\n", {45518, 107}},
      {"user\nHi", {2364, 107, 10979}},
      {"model\n", {4368, 107}},
      {"\r\n", {251, 107}},
      {std::string(1, '\0'), {238}},
      {"a\u00A0b", {236746, 432, 398, 236763}},
      {"\u2581", {236743}},
      {"x\u2581y", {236781, 570}},
      {"e\u0301", {236744, 238288}},
      {"é", {236859}},
      {"\uFEFFhi", {237922, 2202}},
      {"😀", {242398}},
      {"👨‍👩‍👧‍👦", {243874, 237243, 243767, 237243, 244814, 237243, 244990}},
      {"①", {240366}},
      {"ﬁ", {240811}},
      {"١٢٣", {240929, 241303, 242044}},
      {"2024-10-05", {236778, 236771, 236778, 236812, 236772, 236770, 236771, 236772, 236771, 236810}},
      {"def f():\n\treturn 1", {2063, 517, 6141, 107, 255968, 2060, 236743, 236770}},
      {"<|turn>", {105}},
      {"<|\"|>", {52}},
      {"<table>", {236820, 5127, 236813}},
      {"</s>", {954, 236751, 236813}},
  };
  for (const TextIds& c : cases) EXPECT_EQ(gemma4_tokenizer()->encode(c.text, kParsed), c.ids) << c.text;
}

// What a user typed never becomes a special token, and reads the same afterwards.
TEST(Gemma4Strings, SpecialTextsAreOrdinaryTextUnlessParsed) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  const Tokenizer& tokenizer = *gemma4_tokenizer();
  size_t specials = 0;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.kind(id) != TokenKind::control && tokenizer.kind(id) != TokenKind::user_defined) continue;
    ++specials;
    const std::string special(tokenizer.piece(id));
    EXPECT_EQ(tokenizer.encode(special, kParsed), Ids{id}) << special;
    for (const std::string& text : {special, "a" + special + "b", special + special, "<" + special + ">"}) {
      const Ids ids = tokenizer.encode(text, kText);
      for (const TokenId token : ids) EXPECT_TRUE(tokenizer.kind(token) == TokenKind::normal || tokenizer.kind(token) == TokenKind::byte) << text;
      EXPECT_EQ(tokenizer.decode(ids), text);
    }
  }
  EXPECT_EQ(specials, 24u);
}

// Template parts and the user's text are encoded by themselves: the same ids wherever the border is a special token or a line's end.
TEST(Gemma4Strings, SegmentsGiveTheIdsOfTheWhole) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  const Tokenizer& tokenizer = *gemma4_tokenizer();
  Ids joined;
  for (const char* part : {"<|turn>user\n", "Hi there,  how are\n you?", "<turn|>\n", "<|turn>model\n"}) {
    const Ids ids = tokenizer.encode(part, kParsed);
    joined.insert(joined.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer.encode("<|turn>user\nHi there,  how are\n you?<turn|>\n<|turn>model\n", kParsed), joined);
}

TEST(TokenizerBos, ExactlyOneInFront) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const TokenId bos = tokenizer.bos_id();
  EXPECT_EQ(bos, 2);
  const Ids plain = tokenizer.encode("Hello", kText);
  Ids with = plain;
  with.insert(with.begin(), bos);
  EXPECT_EQ(tokenizer.encode("Hello", {.add_bos = true, .parse_special = false}), with);
  EXPECT_EQ(tokenizer.encode("Hello", {.add_bos = true, .parse_special = true}), with);
  EXPECT_EQ(tokenizer.encode("<bos>Hello", {.add_bos = true, .parse_special = true}), with);  // the chat template writes it
  EXPECT_EQ(tokenizer.encode("<bos>Hello", {.add_bos = false, .parse_special = true}), with);
  EXPECT_EQ(tokenizer.encode("", {.add_bos = true, .parse_special = false}), Ids{bos});
  EXPECT_EQ(tokenizer.encode("", kText), Ids{});
  // A second one that is asked for stays, and so does one that is not at the front.
  EXPECT_EQ(tokenizer.encode("<bos><bos>", {.add_bos = true, .parse_special = true}), (Ids{bos, bos}));
  EXPECT_EQ(tokenizer.encode("\n<bos>", {.add_bos = true, .parse_special = true}).back(), bos);
  // Typed by a user it is text.
  const Ids typed = tokenizer.encode("<bos>Hello", {.add_bos = true, .parse_special = false});
  EXPECT_EQ(std::count(typed.begin(), typed.end(), bos), 1);
  EXPECT_EQ(tokenizer.decode(typed), "<bos>Hello");
}

void expect_round_trips(const Tokenizer& tokenizer, uint64_t seed, int count) {
  RandomText random(seed);
  for (int i = 0; i < count; ++i) {
    const std::string text = random.text(random.between(0, 24));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, kText)), text);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, kParsed), true), text);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);  // <bos> is not shown
    if (testing::Test::HasFailure()) return;
  }
}

TEST(TokenizerRoundTrip, TinyVocabulary) { expect_round_trips(*tiny_tokenizer(), 1, 3000); }
TEST(TokenizerRoundTrip, Gemma4) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  expect_round_trips(*gemma4_tokenizer(), 2, 3000);
}
TEST(TokenizerRoundTrip, Gemma3) {
  if (const std::string why = missing_gemma3(); !why.empty()) GTEST_SKIP() << why;
  expect_round_trips(*gemma3_tokenizer(), 3, 3000);
}

TEST(TokenizerRoundTrip, EveryCharacter) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if ((c >= 0xD800 && c < 0xE000) || c == 0x2581) continue;
    std::string text;
    append_character(c, text);
    ASSERT_EQ(gemma4_tokenizer()->decode(gemma4_tokenizer()->encode(text, kText)), text) << std::hex << c;
  }
}

// A byte that is part of no character becomes its byte token; what is around it is encoded as if it stood alone.
TEST(TokenizerInvalidUtf8, BecomesByteTokens) {
  const Tokenizer& tokenizer = *tiny_tokenizer();
  const TokenId first = *tokenizer.find("<0x00>");
  const auto bytes = [&](std::string_view text) {
    Ids ids;
    for (const char c : text) ids.push_back(first + static_cast<uint8_t>(c));
    return ids;
  };
  for (const std::string bad :
       {"\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF5", "\xFF", "\x80", "\xE2\x96", "\xF0\x9F\xA6", "\xF4\x90\x80\x80", "\xC1\xBF", "\xE0\x80\x80"}) {
    EXPECT_EQ(tokenizer.encode(bad, kText), bytes(bad));
    Ids expected = tokenizer.encode("the ", kText);
    const Ids middle = bytes(bad), end = tokenizer.encode("and", kText);
    expected.insert(expected.end(), middle.begin(), middle.end());
    expected.insert(expected.end(), end.begin(), end.end());
    EXPECT_EQ(tokenizer.encode("the " + bad + "and", kText), expected);
  }
}

// Nothing is lost: the bytes of the tokens are the bytes of the text.
TEST(TokenizerInvalidUtf8, KeepsEveryByte) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (uint64_t n = random() % 40; n > 0; --n) text.push_back(static_cast<char>(random() % 3 == 0 ? random() % 128 : 128 + random() % 128));
    std::string back;
    for (const TokenId id : tiny_tokenizer()->encode(text, kText)) back += tiny_tokenizer()->piece(id);
    if (text.find("\xE2\x96\x81") == std::string::npos) {
      ASSERT_EQ(back, text);
    }
  }
}

}  // namespace
}  // namespace carat::test
