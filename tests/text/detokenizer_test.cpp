// Tokens to text piece by piece: never half a character, never a byte lost, and stop strings found however the text was cut.
#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <map>

#include "text/random_text.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

const std::string kBad = "\uFFFD";

class DetokenizerTest : public testing::Test {
 protected:
  const Tokenizer& tokenizer_ = *tiny_tokenizer();
  TokenId first_byte_ = *tokenizer_.find("<0x00>");

  TokenId byte(int b) const { return first_byte_ + b; }
  TokenId token(std::string_view text) const { return *tokenizer_.find(text); }
  // What each token gave, and at the end what was left.
  std::vector<std::string> pieces(const Ids& ids, bool special = false) const {
    Detokenizer d(tokenizer_, special);
    std::vector<std::string> out;
    for (const TokenId id : ids) out.push_back(d.push(id));
    out.push_back(d.flush());
    return out;
  }
};
using Pieces = std::vector<std::string>;

TEST_F(DetokenizerTest, PiecesByKind) {
  EXPECT_EQ(pieces({byte('A')}), (Pieces{"A", ""}));
  EXPECT_EQ(pieces({token("\u2581t"), token("\u2581\u2581"), token("\n\n")}), (Pieces{" t", "  ", "\n\n", ""}));  // no space is taken away, nothing cleaned up
  EXPECT_EQ(pieces({token("<bos>"), token("<|turn>"), token("<unk>")}), (Pieces{"", "", "", ""}));
  EXPECT_EQ(pieces({token("<bos>"), token("<|turn>"), token("<unk>")}, true), (Pieces{"<bos>", "<|turn>", "<unk>", ""}));
  for (const bool special : {false, true}) {
    EXPECT_EQ(pieces({token("<|channel>"), token("<|tool_call>"), token("<|\"|>")}, special), (Pieces{"<|channel>", "<|tool_call>", "<|\"|>", ""}));
  }
  EXPECT_EQ(pieces({-1, tokenizer_.vocab_size(), 1 << 30, token("\n")}), (Pieces{"", "", "", "\n", ""}));
}

TEST_F(DetokenizerTest, CharactersComeWhole) {
  EXPECT_EQ(pieces({byte(0xF0), byte(0x9F), byte(0xA6), byte(0x99)}), (Pieces{"", "", "", "🦙", ""}));
  EXPECT_EQ(pieces({byte(0xC3), byte(0xA9), byte(0xE2), byte(0x82), byte(0xAC)}), (Pieces{"", "é", "", "", "€", ""}));
  EXPECT_EQ(pieces({token("\u2581t"), byte(0xC3), byte(0xA9), token("\n")}), (Pieces{" t", "", "é", "\n", ""}));
}

// One U+FFFD a byte, as soon as it is certain that no character comes of it.
TEST_F(DetokenizerTest, BrokenCharacters) {
  EXPECT_EQ(pieces({byte(0xF0), byte(0x9F), byte(0xA6)}), (Pieces{"", "", "", kBad + kBad + kBad}));   // the end of the stream
  EXPECT_EQ(pieces({byte(0xF0), byte(0x9F), token("\n")}), (Pieces{"", "", kBad + kBad + "\n", ""}));  // a token that is no byte
  EXPECT_EQ(pieces({byte(0xF0), byte(0x9F), token("<bos>")}), (Pieces{"", "", kBad + kBad, ""}));      // also one that is not shown
  EXPECT_EQ(pieces({byte(0xF0), token("<bos>"), byte(0x9F), byte(0xA6), byte(0x99)}), (Pieces{"", kBad, kBad, kBad, kBad, ""}));
  EXPECT_EQ(pieces({byte(0xF0), byte(0x9F), byte('a')}), (Pieces{"", "", kBad + kBad + "a", ""}));  // a byte that goes on nothing
  EXPECT_EQ(pieces({byte(0xE2), byte(0xC3), byte(0xA9)}), (Pieces{"", kBad, "é", ""}));
  EXPECT_EQ(pieces({byte(0x80)}), (Pieces{kBad, ""}));
  EXPECT_EQ(pieces({byte(0xC0), byte(0x80)}), (Pieces{kBad, kBad, ""}));  // overlong
  EXPECT_EQ(pieces({byte(0xE0), byte(0x80), byte(0x80)}), (Pieces{"", kBad + kBad, kBad, ""}));
  EXPECT_EQ(pieces({byte(0xED), byte(0xA0), byte(0x80)}), (Pieces{"", kBad + kBad, kBad, ""}));                    // a surrogate
  EXPECT_EQ(pieces({byte(0xF4), byte(0x90), byte(0x80), byte(0x80)}), (Pieces{"", kBad + kBad, kBad, kBad, ""}));  // above U+10FFFF
  EXPECT_EQ(pieces({byte(0xF5)}), (Pieces{kBad, ""}));
  EXPECT_EQ(pieces({byte(0xFF)}), (Pieces{kBad, ""}));
}

TEST_F(DetokenizerTest, FlushLeavesNothing) {
  Detokenizer d(tokenizer_);
  d.push(byte(0xF0));
  EXPECT_EQ(d.flush(), kBad);
  EXPECT_EQ(d.flush(), "");
  EXPECT_EQ(d.push(byte(0x9F)), kBad);  // a new text
}

// Any tokens at all: each piece is valid UTF-8, at most 3 bytes wait, and together they are decode().
TEST_F(DetokenizerTest, AnyTokensGiveValidPiecesThatJoin) {
  RandomText random(41);
  for (int i = 0; i < 3000; ++i) {
    Ids ids;
    for (uint32_t n = random.between(0, 30); n > 0; --n) {
      ids.push_back(random.below(3) > 0 ? byte(static_cast<int>(random.below(8) == 0 ? random.below(128) : random.between(128, 255)))
                                        : static_cast<TokenId>(random.below(static_cast<uint32_t>(tokenizer_.vocab_size()))));
    }
    for (const bool special : {false, true}) {
      std::string joined;
      const Pieces all = pieces(ids, special);
      for (const std::string& piece : all) {
        ASSERT_TRUE(utf8_valid(piece));
        joined += piece;
      }
      ASSERT_LE(all.back().size(), 3 * kBad.size());
      ASSERT_EQ(joined, tokenizer_.decode(ids, special));
    }
  }
}

// The same text in every way it can be written in tokens: random borders, a piece where there is one, else bytes.
TEST_F(DetokenizerTest, EverySplitGivesTheText) {
  RandomText random(42);
  std::map<std::string, TokenId, std::less<>> by_piece;
  for (TokenId id = 0; id < tokenizer_.vocab_size(); ++id) {
    if (tokenizer_.kind(id) == TokenKind::normal) by_piece.emplace(tokenizer_.piece(id), id);
  }
  for (int i = 0; i < 1000; ++i) {
    const std::string text = random.text(random.between(0, 8));
    Ids ids;
    for (size_t at = 0; at < text.size();) {
      const size_t n = random.between(1, 4);
      const auto it = by_piece.find(std::string_view(text).substr(at, n));
      if (it != by_piece.end()) {
        ids.push_back(it->second);
        at += it->first.size();
      } else {
        ids.push_back(byte(static_cast<uint8_t>(text[at++])));
      }
    }
    std::string joined;
    for (const std::string& piece : pieces(ids)) {
      ASSERT_TRUE(utf8_valid(piece));
      joined += piece;
    }
    ASSERT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace carat::test
