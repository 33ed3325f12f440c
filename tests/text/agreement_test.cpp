// One tokenizer, two kinds of files: a GGUF and the folder it was made from say the same.
#include <gtest/gtest.h>

#include "text/random_text.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

// same_merges: else the GGUF file has scores, and knows fewer of the texts as special (made from tokenizer.model).
void expect_agreement(const Tokenizer& gguf, const Tokenizer& json, bool same_merges) {
  ASSERT_EQ(gguf.vocab_size(), json.vocab_size());
  EXPECT_EQ(gguf.bos_id(), json.bos_id());
  EXPECT_EQ(gguf.eos_ids().front(), json.eos_ids().front());
  RandomText random(21);
  for (int i = 0; i < 1000; ++i) {
    const std::string text = random.text(random.between(0, 16));
    for (const EncodeOptions& options : {kText, kParsed}) {
      const Ids a = gguf.encode(text, options), b = json.encode(text, options);
      if (same_merges) {
        ASSERT_EQ(a, b) << testing::PrintToString(text);
      }
      ASSERT_EQ(gguf.decode(b), json.decode(b));
      ASSERT_EQ(gguf.decode(b, true), json.decode(b, true));
    }
  }
  for (TokenId id = 0; id < gguf.vocab_size(); ++id) {
    EXPECT_EQ(gguf.piece(id), json.piece(id)) << id;
    EXPECT_EQ(gguf.decode({id}), json.decode({id})) << id;
    EXPECT_EQ(gguf.encode(json.piece(id), kText), json.encode(json.piece(id), kText)) << id;
    if (same_merges) {
      EXPECT_EQ(gguf.encode(json.piece(id), kParsed), json.encode(json.piece(id), kParsed)) << id;
    }
  }
}

TEST(Agreement, TinyGguf) {
  expect_agreement(*Tokenizer::load(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-e2b-Q4_K_M.gguf"), *tiny_tokenizer(), true);
}

TEST(Agreement, EveryTinyModel) {
  if (const std::string why = missing_golden(); !why.empty()) GTEST_SKIP() << why;
  int files = 0;
  for (const std::string& model : text_models()) {
    SCOPED_TRACE(model);
    const auto folder = golden("models/" + model);
    const TokenizerPtr hf = Tokenizer::load(folder / "hf");
    EXPECT_EQ(Tokenizer::load(*Checkpoint::open(folder / "hf"))->encode("<|turn>user\nHello", kParsed), hf->encode("<|turn>user\nHello", kParsed));
    for (const char* kind : {"bf16", "Q8_0", "Q4_K_M"}) {
      const auto gguf = folder / "gguf" / ("model-" + std::string(kind) + ".gguf");
      if (!std::filesystem::exists(gguf)) continue;
      ++files;
      expect_agreement(*Tokenizer::load(gguf), *hf, model != "tiny-gemma3");
    }
  }
  EXPECT_GE(files, 6);
}

}  // namespace
}  // namespace carat::test
