// Where answers end: as the config says, and at the hand-over to tools, which configs may forget.
#include "engine/stop_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine/engine.h"
#include "formats/temp_folder.h"
#include "support/golden.h"
#include "text/vocabularies.h"

namespace carat {
namespace {

using Ids = std::vector<int32_t>;

TEST(StopTokens, TheHandOverIsAddedToTurnEnds) {
  const Tokenizer& tokenizer = *test::tiny_tokenizer();
  const int32_t eos = *tokenizer.find("<eos>"), turn_end = *tokenizer.find("<turn|>"), hand_over = *tokenizer.find("<|tool_response>");
  EXPECT_EQ(stop_tokens({eos, turn_end}, &tokenizer), (Ids{eos, turn_end, hand_over}));
  EXPECT_EQ(stop_tokens({eos, turn_end, hand_over}, &tokenizer), (Ids{eos, turn_end, hand_over}));
  EXPECT_EQ(stop_tokens({eos}, &tokenizer), Ids{eos});  // pre-trained: it continues texts, and has no turns
  EXPECT_EQ(stop_tokens({eos, turn_end}, nullptr), (Ids{eos, turn_end}));
  EXPECT_EQ(stop_tokens({}, &tokenizer), Ids{});
}

TEST(StopTokens, TheRealVocabularyHasThree) {
  if (const std::string missing = test::missing_gemma4(); !missing.empty()) GTEST_SKIP() << missing;
  EXPECT_EQ(stop_tokens({1, 106}, test::gemma4_tokenizer().get()), (Ids{1, 106, 50}));
  if (const std::string none = test::missing_gemma3(); !none.empty()) GTEST_SKIP() << none;
  EXPECT_EQ(stop_tokens({1, 106}, test::gemma3_tokenizer().get()), (Ids{1, 106}));  // Gemma 3 has no such token
}

// What the engine makes of a model that is made to say `token` first: how the answer ended, and after how many tokens.
std::pair<FinishReason, size_t> said(const std::string& path, int32_t token) {
  LoadOptions load;
  load.num_threads = 1;
  const auto model = load_model(path, load);
  EngineOptions options;
  options.ctx = 64;
  options.max_num_seqs = 1;
  Engine engine(*model, options);
  std::pair<FinishReason, size_t> result{FinishReason::none, 0};
  Request request;
  request.token_ids = {2, 40};
  request.sampling.temperature = 0;
  request.sampling.max_tokens = 3;
  request.sampling.logit_bias[token] = 100;
  request.on_output = [&](const RequestOutput& out) { result.second += out.token_ids.size(), result.first = out.finish; };
  engine.submit(std::move(request));
  engine.run_until_idle();
  return result;
}

TEST(StopTokens, TheEngineStopsAtEachOfThem) {
  const std::string file = (std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models/tiny-e2b-Q4_K_M.gguf").string();
  const Tokenizer& tokenizer = *test::tiny_tokenizer();
  for (const char* stop : {"<eos>", "<turn|>", "<|tool_response>"}) {
    EXPECT_EQ(said(file, *tokenizer.find(stop)), std::pair(FinishReason::stop, size_t{1})) << stop;
  }
  for (const char* other : {"<tool_call|>", "<channel|>", "a"}) {
    EXPECT_EQ(said(file, *tokenizer.find(other)), std::pair(FinishReason::length, size_t{3})) << other;
  }
}

// The reference's folder with another generation_config.json.
class Folder : public TempFolder {
 public:
  explicit Folder(std::string_view generation_config) {
    for (const auto& entry : std::filesystem::directory_iterator(test::golden("models/tiny-e2b/hf"))) {
      if (entry.path().filename() != "generation_config.json") std::filesystem::create_symlink(entry.path(), path() / entry.path().filename());
    }
    put("generation_config.json", generation_config);
  }
};

TEST(StopTokens, AConfigThatForgetsTheHandOver) {
  if (const std::string missing = test::missing_golden(); !missing.empty()) GTEST_SKIP() << missing;
  const int32_t hand_over = *test::tiny_tokenizer()->find("<|tool_response>");
  EXPECT_EQ(said(Folder(R"({"eos_token_id":[1,19]})").path().string(), hand_over), std::pair(FinishReason::stop, size_t{1}));
  EXPECT_EQ(said(Folder(R"({"eos_token_id":1})").path().string(), hand_over), std::pair(FinishReason::length, size_t{3}));
}

TEST(StopTokens, SuppressedTokensAreNeverSaid) {
  if (const std::string missing = test::missing_golden(); !missing.empty()) GTEST_SKIP() << missing;
  const Folder folder(R"({"eos_token_id":[1,19,12],"suppress_tokens":[19,300]})");
  EXPECT_EQ(said(folder.path().string(), 1), std::pair(FinishReason::stop, size_t{1}));
  EXPECT_EQ(said(folder.path().string(), 19).first, FinishReason::length);  // however much it would like to
}

}  // namespace
}  // namespace carat
