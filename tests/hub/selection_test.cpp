#include "hub/selection.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"

namespace carat::hub {
namespace {

using Paths = std::vector<std::string>;

Source wanted(std::string_view text) { return parse_hf("hf:me/model" + std::string(text), "test"); }

Paths files(std::string_view text, const Paths& paths) {
  const auto selection = find_selection(wanted(text), paths);
  return selection ? selection->files : Paths{};
}

TEST(Selection, LabelsOfFileNames) {
  const std::pair<const char*, const char*> cases[] = {
      {"gemma-4-E2B-it-Q4_K_M.gguf", "Q4_K_M"},
      {"google_gemma-4-12B-it-IQ4_XS.gguf", "IQ4_XS"},
      {"gemma-3-4b-it-q4_0.gguf", "Q4_0"},
      {"gemma-4-E2B_q4_0-it.gguf", "Q4_0"},
      {"mmproj-model-f16-4B.gguf", "F16"},
      {"gemma-4-31B-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
      {"BF16/gemma-4-31B-it-BF16-00001-of-00002.gguf", "BF16"},
      {"Q8_0/model-00001-of-00002.gguf", "Q8_0"},
      {"Q8_0/model-Q4_0.gguf", "Q4_0"},
      {"model-MXFP4_MOE.gguf", "MXFP4_MOE"},
      {"model.NVFP4.gguf", "NVFP4"},
      {"model-TQ1_0.gguf", "TQ1_0"},
      {"model.gguf", ""},
      {"Quality-model.gguf", ""},
      {"model-Q4x.gguf", ""},
      {"model-f160.gguf", ""},
  };
  for (const auto& [path, label] : cases) EXPECT_EQ(quant_label(path), label) << path;
}

TEST(Selection, TheModelWithItsTowersAndDrafter) {
  const Paths paths = {"README.md",
                       "gemma-Q4_K_M.gguf",
                       "gemma-Q8_0.gguf",
                       "gemma-imatrix.gguf",
                       "mmproj-gemma-Q8_0.gguf",
                       "mmproj-gemma-bf16.gguf",
                       "mmproj-gemma-f16.gguf",
                       "mtp-gemma-Q4_K_M.gguf",
                       "mtp-gemma-Q8_0.gguf"};
  EXPECT_EQ(files("", paths), (Paths{"gemma-Q4_K_M.gguf", "mmproj-gemma-bf16.gguf", "mtp-gemma-Q4_K_M.gguf"}));
  EXPECT_EQ(files(":q8_0", paths), (Paths{"gemma-Q8_0.gguf", "mmproj-gemma-bf16.gguf", "mtp-gemma-Q8_0.gguf"}));
  EXPECT_EQ(files(":Q6_K", paths), Paths{});
  EXPECT_EQ(files(":gemma-Q8_0.gguf", paths).front(), "gemma-Q8_0.gguf");
}

TEST(Selection, PartsInFoldersComeTogetherOrNotAtAll) {
  Paths paths = {"BF16/m-BF16-00001-of-00003.gguf", "BF16/m-BF16-00002-of-00003.gguf", "BF16/m-BF16-00003-of-00003.gguf", "m-Q4_K_M.gguf", "mmproj-F16.gguf"};
  const auto selection = find_selection(wanted(":bf16"), paths);
  ASSERT_TRUE(selection);
  EXPECT_EQ(selection->main, "BF16/m-BF16-00001-of-00003.gguf");
  EXPECT_EQ(selection->files, (Paths{paths[0], paths[1], paths[2], "mmproj-F16.gguf"}));
  paths.erase(paths.begin() + 1);
  EXPECT_FALSE(find_selection(wanted(":bf16"), paths));
  EXPECT_EQ(all_selections(paths).size(), 1u);
}

TEST(Selection, WithoutAQuantisationTheDefaultElseTheOnlyOneElseTheFolder) {
  EXPECT_EQ(files("", {"a-Q4_K_M.gguf", "a-Q8_0.gguf"}), Paths{"a-Q4_K_M.gguf"});
  EXPECT_EQ(files("", {"a-Q8_0.gguf", "mmproj-a.gguf"}), (Paths{"a-Q8_0.gguf", "mmproj-a.gguf"}));
  EXPECT_EQ(files("", {"a-Q8_0.gguf", "a-Q6_K.gguf"}), Paths{});
  const Paths folder = {"README.md",
                        "config.json",
                        "consolidated.safetensors",
                        "model-00001-of-00002.safetensors",
                        "model-00002-of-00002.safetensors",
                        "model.safetensors.index.json",
                        "onnx/model.safetensors",
                        "tokenizer.json",
                        "training.log"};
  EXPECT_EQ(files("", folder), (Paths{folder[1], folder[3], folder[4], folder[5], folder[7]}));
  EXPECT_EQ(find_selection(wanted(""), folder)->main, "");
  EXPECT_FALSE(find_selection(wanted(""), Paths{"config.json", "model-00001-of-00002.safetensors"}));
  EXPECT_FALSE(find_selection(wanted(""), Paths{"config.json", "pytorch_model.bin"}));
  EXPECT_EQ(files(":Q8_0", folder), Paths{});
}

TEST(Selection, AnExactLabelBeforeOneWithAPrefix) {
  EXPECT_EQ(files(":q4_k_xl", {"a-UD-Q4_K_XL.gguf"}), Paths{"a-UD-Q4_K_XL.gguf"});
  EXPECT_EQ(files(":q4_0", {"a-Q4_0.gguf", "a-UD-Q4_0.gguf"}), Paths{"a-Q4_0.gguf"});
  EXPECT_EQ(files(":ud-q4_0", {"a-Q4_0.gguf", "a-UD-Q4_0.gguf"}), Paths{"a-UD-Q4_0.gguf"});
}

TEST(Selection, WhatIsNotThereListsWhatIs) {
  const auto message = [](std::string_view text, const Paths& paths) {
    try {
      select(wanted(text), paths);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::not_found);
      return std::string(error.what());
    }
    return std::string("found");
  };
  EXPECT_NE(message(":Q6_K", {"a-Q4_0.gguf", "a-Q8_0.gguf", "config.json", "model.safetensors"})
                .find("there are: hf:me/model:Q4_0, hf:me/model:Q8_0, hf:me/model:safetensors"),
            std::string::npos);
  // Two of the same label: they are told apart by their files.
  EXPECT_NE(message("", {"a-Q4_K_M.gguf", "b-Q4_K_M.gguf"}).find("hf:me/model:a-Q4_K_M.gguf, hf:me/model:b-Q4_K_M.gguf"), std::string::npos);
  EXPECT_NE(message("", {"README.md"}).find("no other model either"), std::string::npos);
  EXPECT_NE(message(":safetensors", {"a-Q8_0.gguf"}).find("hf:me/model:Q8_0"), std::string::npos);
}

// Listings are the hub's word: as many models as it likes, each with a label of its own.
TEST(Selection, AHugeListingTakesNoLonger) {
  Paths paths;
  for (int i = 0; i < 60'000; ++i) paths.push_back("m-Q4_K_X" + std::to_string(i) + ".gguf");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(select(wanted(""), paths), Error);
  EXPECT_EQ(all_selections(paths).size(), paths.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

}  // namespace
}  // namespace carat::hub
