// Merging with heap, short cuts and cuts of the text, against the definition of it. Any difference is a bug: nothing here is approximate.
#include <gtest/gtest.h>

#include "text/naive_tokenizer.h"
#include "text/random_text.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

void expect_equal(const Tokenizer& tokenizer, const NaiveTokenizer& naive, const std::string& text) {
  ASSERT_EQ(tokenizer.encode(text, kText), naive.encode(text, false)) << testing::PrintToString(text);
  ASSERT_EQ(tokenizer.encode(text, kParsed), naive.encode(text, true)) << testing::PrintToString(text);
}

// Short texts take one way through the tokenizer, long ones without a place to cut another.
void expect_equal_on_random_text(const Tokenizer& tokenizer, const NaiveTokenizer& naive, uint64_t seed, int count) {
  RandomText random(seed);
  for (int i = 0; i < count; ++i) {
    expect_equal(tokenizer, naive, random.text(random.between(1, i % 20 == 0 ? 80 : 12)));
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Texts made of the vocabulary's own pieces: every border between two pieces is a place where a wrong cut or a wrong order shows.
void expect_equal_on_joined_pieces(const Tokenizer& tokenizer, const NaiveTokenizer& naive, uint64_t seed, int count) {
  RandomText random(seed);
  const auto piece = [&] {
    TokenId id = 0;
    do {
      id = static_cast<TokenId>(random.below(static_cast<uint32_t>(tokenizer.vocab_size())));
    } while (tokenizer.kind(id) != TokenKind::normal);
    return std::string(tokenizer.piece(id));
  };
  for (int i = 0; i < count; ++i) {
    std::string text;
    for (uint32_t n = random.between(2, i % 20 == 0 ? 40 : 6); n > 0; --n) {
      const std::string p = piece();
      text += random.below(4) == 0 ? p.substr(0, p.find_first_of(" <") == 0 ? std::string::npos : p.find(' ')) : p;
    }
    expect_equal(tokenizer, naive, text);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// A few letters only: long parts that are never cut, with many equal pairs side by side.
void expect_equal_on_few_letters(const Tokenizer& tokenizer, const NaiveTokenizer& naive, uint64_t seed, int count) {
  RandomText random(seed);
  for (int i = 0; i < count; ++i) {
    static constexpr std::string_view kAlphabets[] = {"a", "ab", "e ", "=-", "the ", "\n", "\t\n", ">< /", "0123", "aeinst"};
    const std::string_view letters = kAlphabets[random.below(std::size(kAlphabets))];
    std::string text;
    for (uint32_t n = random.between(1, 150); n > 0; --n) text.push_back(letters[random.below(static_cast<uint32_t>(letters.size()))]);
    expect_equal(tokenizer, naive, text);
    if (testing::Test::HasFatalFailure()) return;
  }
}

void expect_all(const Tokenizer& tokenizer, const NaiveTokenizer& naive) {
  expect_equal_on_random_text(tokenizer, naive, 11, 2000);
  expect_equal_on_joined_pieces(tokenizer, naive, 12, 2000);
  expect_equal_on_few_letters(tokenizer, naive, 13, 400);
}

TEST(Merges, TinyVocabularyIsTheDefinition) { expect_all(*tiny_tokenizer(), NaiveTokenizer::from_json(read_json(text_data("tiny_tokenizer.json")))); }

TEST(Merges, Gemma4IsTheDefinition) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  expect_all(*gemma4_tokenizer(), NaiveTokenizer::from_gguf(gemma4_vocab_file()));
}

TEST(Merges, Gemma3IsTheDefinition) {
  if (const std::string why = missing_gemma3(); !why.empty()) GTEST_SKIP() << why;
  expect_all(*gemma3_tokenizer(), NaiveTokenizer::from_gguf(real_model()));
}

TEST(Merges, TinyGemma3IsTheDefinition) {
  const auto path = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-gemma3-Q4_K_M.gguf";
  expect_all(*Tokenizer::load(path), NaiveTokenizer::from_gguf(path));
}

// Every piece of the vocabulary comes back as itself, but those (<unused7>, " YYYY") to which the order of merging never leads.
TEST(Merges, EveryPieceOfTheVocabulary) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  const Tokenizer& tokenizer = *gemma4_tokenizer();
  const NaiveTokenizer naive = NaiveTokenizer::from_gguf(gemma4_vocab_file());
  int whole = 0;
  for (TokenId id = 494; id < 262144; ++id) {
    if (tokenizer.kind(id) != TokenKind::normal) continue;
    const std::string text(tokenizer.piece(id));
    const Ids ids = tokenizer.encode(text, kText);
    ASSERT_EQ(tokenizer.decode(ids), text);
    if (ids == Ids{id}) {
      ++whole;
    } else {
      ASSERT_EQ(ids, naive.encode(text, false)) << text;
    }
  }
  EXPECT_GT(whole, 255000);
}

}  // namespace
}  // namespace carat::test
