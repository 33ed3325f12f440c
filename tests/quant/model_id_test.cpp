// Names of folders read as the converter of llama.cpp reads them: what it gives was written down once.
#include "quant/model_id.h"

#include <gtest/gtest.h>

namespace carat::quant {
namespace {

TEST(ModelId, NamesSayWhatTheConverterReadsInThem) {
  const struct {
    const char* name;
    int64_t parameters;
    const char *basename, *finetune, *version, *size_label;
  } cases[] = {
      {"gemma-3-270m", 268098176, "gemma-3", "", "", "270M"},
      {"gemma-3-270m-it", 268098176, "gemma-3", "it", "", "270M"},
      {"gemma-3-27b-it-qat-q4_0", 27009346304, "gemma-3", "it-qat", "", "27B"},
      {"gemma-4-E2B-it", 4600000000, "", "", "", ""},
      {"gemma-4-31B-it", 30700000000, "gemma-4", "it", "", "31B"},
      {"gemma-4-26B-A4B-it", 25200000000, "gemma-4", "it", "", "26B-A4B"},
      {"tiny-12b-unified", 154000, "tiny", "12b-unified", "", ""},
      {"tiny-e2b", 300000, "", "", "", ""},
      {"tiny-gemma3", 200000, "", "", "", ""},
      {"bloom-7b1", 7069016064, "bloom", "", "", "7.1B"},
      {"Mixtral-8x7B-Instruct-v0.1", 46700000000, "Mixtral", "Instruct", "v0.1", "8x7B"},
      {"model-xl-1_5b", 1500000000, "model-xl", "", "", "1.5B"},
      {"Llama-3-8B-128k-chat", 8000000000, "Llama-3", "128k-chat", "", "8B"},
      {"hf", 1, "", "", "", ""},
      {"a b-7b", 7000000000, "", "", "", ""},
      {"medgemma-1.5-4b-it", 4300000000, "medgemma-1.5", "it", "", "4B"},
      {"--gemma--2--9b--", 9240000000, "gemma-2", "", "", "9B"},
      {"gemma-v2", 5, "gemma", "", "v2", ""},
      {"3-gemma-2b", 2500000000, "3-gemma", "", "", "2B"},
      {"x-large-bf16", 0, "x", "", "", "large"},
      {"q4_0-7b-7b-f16", 0, "", "", "", "7B"},
  };
  for (const auto& c : cases) {
    const ModelId id = parse_model_id(c.name, c.parameters);
    EXPECT_EQ(id.basename, c.basename) << c.name;
    EXPECT_EQ(id.finetune, c.finetune) << c.name;
    EXPECT_EQ(id.version, c.version) << c.name;
    EXPECT_EQ(id.size_label, c.size_label) << c.name;
  }
}

TEST(ModelId, NamesThatSayNothing) {
  for (const std::string& name :
       {std::string(), std::string("-"), std::string("---"), std::string(100000, '7'), std::string(255, '7'), std::string("\xFF-\x80")}) {
    const ModelId id = parse_model_id(name, 1000);
    EXPECT_EQ(id.size_label, "") << name.size();
    EXPECT_EQ(id.basename, "") << name.size();
  }
}

SourceTensor tensor(std::string name, std::vector<int64_t> shape) {
  SourceTensor t;
  t.name = std::move(name), t.shape = std::move(shape);
  return t;
}

std::string label(int64_t elements) { return size_label_of(std::vector<SourceTensor>{tensor("x", {elements})}); }

TEST(ModelId, SizesHaveTwoDigitsAtLeast) {
  for (const auto& [elements, text] : std::vector<std::pair<int64_t, const char*>>{{999, "1.0K"},
                                                                                   {2500, "2.5K"},
                                                                                   {94500, "94K"},
                                                                                   {1000000, "1000K"},
                                                                                   {1000001, "1.0M"},
                                                                                   {268098176, "268M"},
                                                                                   {999999999, "1000M"},
                                                                                   {1500000000, "1.5B"},
                                                                                   {9950000000, "10B"},
                                                                                   {1500000000000, "1.5T"}})
    EXPECT_EQ(label(elements), text) << elements;
}

TEST(ModelId, TitlesAreForPeople) {
  EXPECT_EQ(title_of("tiny-e2b"), "Tiny E2B");
  EXPECT_EQ(title_of("gemma-3-270m-it"), "Gemma 3 270m It");
  EXPECT_EQ(title_of("Gemma-4-E2B-it--qat_q4"), "Gemma 4 E2B It Qat_Q4");
  EXPECT_EQ(title_of("medgemma v1.5 v2x"), "Medgemma v1.5 V2X");
  EXPECT_EQ(title_of("--"), "");
}

TEST(ModelId, ExpertsAreCounted) {
  const std::vector<SourceTensor> tensors = {tensor("x", {20, 100}), tensor("blk.0.ffn_up_exps.weight", {4, 15, 100})};
  EXPECT_EQ(size_label_of(tensors), "4x3.5K");
  EXPECT_EQ(parameters_of(tensors), 8000);
}

}  // namespace
}  // namespace carat::quant
