// Gemma 3: merges by score, and pieces that are taken out of any text. Against ids of llama.cpp and transformers.
#include <gtest/gtest.h>

#include "text/vocabularies.h"

namespace carat::test {
namespace {

class Gemma3 : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = missing_gemma3(); !why.empty()) GTEST_SKIP() << why;
  }
  static Ids encode(std::string_view text, const EncodeOptions& options = kText) { return gemma3_tokenizer()->encode(text, options); }
};

TEST_F(Gemma3, PromptsOfTheReference) {
  if (const std::string why = missing_golden(); !why.empty()) GTEST_SKIP() << why;
  const Json prompts = read_json(golden("real/gemma3_270m_q4_k_m.json")).at("llama_cpp").at("prompts");
  for (const Json& p : prompts) {
    const std::string text = p.at("text").get<std::string>();
    EXPECT_EQ(encode(text, {.add_bos = true, .parse_special = true}), p.at("ids").get<Ids>()) << text;
    if (text.find("<start_of_turn>") == std::string::npos) {
      EXPECT_EQ(encode(text, {.add_bos = true, .parse_special = false}), p.at("ids").get<Ids>()) << text;
    }
    EXPECT_EQ(gemma3_tokenizer()->decode(p.at("greedy_ids").get<Ids>()), p.at("greedy_text").get<std::string>());
  }
  EXPECT_EQ(prompts.size(), 8u);
}

TEST_F(Gemma3, TextOfTheReference) {
  if (const std::string why = missing_golden(); !why.empty()) GTEST_SKIP() << why;
  const std::string text = read_text_file(golden("real/text.txt"), 1 << 20);
  const auto tensors = Checkpoint::open(golden("real/text_ids.safetensors"))->tensors();
  ASSERT_EQ(tensors.size(), 1u);
  const TensorInfo& tensor = tensors.front();
  const auto count = static_cast<size_t>(tensor.elements());
  ASSERT_EQ(tensor.nbytes, count * sizeof(TokenId));  // int32
  Ids expected(count);
  tensor.read_rows(0, tensor.rows(), reinterpret_cast<std::byte*>(expected.data()));
  EXPECT_EQ(encode(text, {.add_bos = expected.front() == 2, .parse_special = false}), expected);
  EXPECT_EQ(gemma3_tokenizer()->decode(expected), text);
}

TEST_F(Gemma3, TakesUserDefinedPiecesOutOfAnyText) {
  EXPECT_EQ(encode("<table>"), Ids{168});
  EXPECT_EQ(encode("</s>"), Ids{212});
  EXPECT_EQ(encode("\n"), Ids{107});
  EXPECT_EQ(encode(std::string(33, '\n')), (Ids{137, 108}));
  EXPECT_EQ(encode(std::string(33, ' ')), (Ids{167, 138}));
  EXPECT_EQ(encode(std::string(40, '\t')), (Ids{255998, 255976}));
  EXPECT_EQ(encode(" "), Ids{236743});
  EXPECT_EQ(encode("a\n\nb"), (Ids{236746, 108, 236763}));
  for (TokenId id = 107; id < 238; ++id) EXPECT_EQ(encode(gemma3_tokenizer()->piece(id)), Ids{id});
}

TEST_F(Gemma3, ControlTokensAreTextUnlessParsed) {
  EXPECT_EQ(encode("<start_of_turn>user\n", kParsed), (Ids{105, 2364, 107}));
  EXPECT_EQ(encode("<end_of_turn>", kParsed), Ids{106});
  for (const TokenId id : encode("<start_of_turn>user<end_of_turn><bos><eos><unused7>")) EXPECT_EQ(gemma3_tokenizer()->kind(id), TokenKind::normal);
  EXPECT_EQ(gemma3_tokenizer()->decode(encode("<start_of_turn>user<end_of_turn>")), "<start_of_turn>user<end_of_turn>");
}

TEST_F(Gemma3, AddsNoSpaceInFront) {
  EXPECT_EQ(encode("Hello world"), (Ids{9259, 1902}));
  EXPECT_EQ(encode("3333"), (Ids{236800, 236800, 236800, 236800}));
  EXPECT_EQ(encode("🦙"), (Ids{478, 397, 404, 391}));
}

TEST_F(Gemma3, KnowsItsEnds) {
  EXPECT_EQ(gemma3_tokenizer()->bos_id(), 2);
  EXPECT_EQ(gemma3_tokenizer()->eos_ids().front(), 1);
  EXPECT_EQ(gemma3_tokenizer()->vocab_size(), 262144);
}

}  // namespace
}  // namespace carat::test
