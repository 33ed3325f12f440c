// Types of tensors against those that llama-quantize gave: tests/golden/quantised/types.json, made by running it on four models with each mixture.
#include "quant/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "support/golden.h"

namespace carat::quant {
namespace {

struct Case {
  std::vector<TensorShape> tensors;
  ModelShape model;
  std::vector<std::string> letters;
  std::map<std::string, std::string> types;
};

std::map<std::string, Case> cases() {
  const Json json = test::read_json(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/quantised/types.json");
  std::map<std::string, Case> out;
  for (const auto& [name, j] : json.items()) {
    Case& c = out[name];
    for (const Json& t : j.at("tensors")) c.tensors.push_back({t[0].get<std::string>(), t[1].get<std::vector<int64_t>>(), find_type(t[2].get<std::string>())});
    c.model = {j.at("layers").get<int64_t>(), j.at("experts").get<int64_t>(), j.at("heads_per_kv_head").get<int64_t>()};
    c.letters = j.at("letters").get<std::vector<std::string>>();
    c.types = j.at("types").get<std::map<std::string, std::string>>();
  }
  return out;
}

TEST(Recipe, MixturesAreThoseOfLlamaQuantize) {
  int compared = 0;
  for (const auto& [model, c] : cases()) {
    for (const auto& [mixture, letters] : c.types) {
      ASSERT_EQ(letters.size(), c.tensors.size());
      const auto chosen = choose_types(find_recipe(mixture), c.tensors, c.model, {}, false);
      for (size_t i = 0; i < letters.size(); ++i) {
        const std::string wanted = letters[i] == '-' ? std::string(info(c.tensors[i].dtype).name) : c.letters[static_cast<size_t>(letters[i] - 'a')];
        EXPECT_EQ(info(chosen[i].type).name, wanted) << model << " " << mixture << " " << c.tensors[i].name;
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 5000);
}

TEST(Recipe, CountsOfTheReal270M) {
  const auto all = cases();
  const auto& c = all.at("gemma-3-270m");
  std::map<DType, int> counts;
  for (const ChosenType& t : choose_types(find_recipe("Q4_K_M"), c.tensors, c.model, {}, false))
    if (t.quantise) ++counts[t.type];
  EXPECT_EQ(counts, (std::map<DType, int>{{DType::q5_0, 81}, {DType::q4_k, 27}, {DType::q8_0, 10}, {DType::q6_k, 9}}));
}

// What is known of the real 26B (docs of its Q4_K_M file): every sixth layer is a full one without values, and rows of 2112 and 704 are no blocks of 256.
TEST(Recipe, ExpertsAreCountedByLayer) {
  std::vector<TensorShape> tensors;
  for (int i = 0; i < 30; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    if (i % 6 != 5) tensors.push_back({b + "attn_v.weight", {2048, 2816}, DType::bf16});
    tensors.push_back({b + "ffn_down.weight", {2816, 2112}, DType::bf16});
    tensors.push_back({b + "ffn_down_exps.weight", {128, 2816, 704}, DType::bf16});
    tensors.push_back({b + "ffn_gate_up_exps.weight", {128, 1408, 2816}, DType::bf16});
    tensors.push_back({b + "ffn_down_exps.scale", {128}, DType::f32});
  }
  std::map<std::string, std::map<DType, int>> counts;
  const auto chosen = choose_types(find_recipe("q4_k_m"), tensors, {30, 128, 2}, {}, false);
  for (size_t i = 0; i < tensors.size(); ++i) ++counts[tensors[i].name.substr(tensors[i].name.find('.', 4) + 1)][chosen[i].type];
  const std::map<std::string, std::map<DType, int>> wanted = {{"attn_v.weight", {{DType::q4_k, 12}, {DType::q6_k, 13}}},
                                                              {"ffn_down.weight", {{DType::q5_0, 16}, {DType::q8_0, 14}}},
                                                              {"ffn_down_exps.weight", {{DType::q5_0, 16}, {DType::q8_0, 14}}},
                                                              {"ffn_gate_up_exps.weight", {{DType::q4_k, 30}}},
                                                              {"ffn_down_exps.scale", {{DType::f32, 30}}}};
  EXPECT_EQ(counts, wanted);
}

TEST(Recipe, OverridesNameTensors) {
  const std::vector<TensorShape> tensors = {{"token_embd.weight", {64, 256}, DType::bf16},
                                            {"blk.0.ffn_down.weight", {256, 256}, DType::bf16},
                                            {"blk.1.ffn_down.weight", {256, 256}, DType::bf16},
                                            {"blk.1.attn_norm.weight", {256}, DType::f32},
                                            {"blk.1.ffn_up.weight", {256, 32}, DType::bf16}};
  const ModelShape model{2, 0, 1};
  const std::vector<TypeOverride> overrides = {{"blk\\.1\\.ffn_down", DType::q8_0}, {"token_embd", DType::q4_k}, {"ffn_up", DType::q6_k}};
  const auto chosen = choose_types(find_recipe("q4_k_s"), tensors, model, overrides, false);
  EXPECT_EQ(chosen[0].type, DType::q4_k);
  EXPECT_EQ(chosen[1].type, DType::q4_k);
  EXPECT_EQ(chosen[2].type, DType::q8_0);
  EXPECT_EQ(chosen[3].type, DType::f32);
  EXPECT_FALSE(chosen[3].quantise);
  EXPECT_EQ(chosen[4].type, DType::q8_0) << "32 columns are no block of q6_k";
  EXPECT_EQ(chosen[4].wanted, DType::q6_k);
  for (const char* pattern : {"attn_norm", "nothing", "(", "["})
    EXPECT_THROW(choose_types(find_recipe("q4_0"), tensors, model, std::vector<TypeOverride>{{pattern, DType::q8_0}}, false), Error) << pattern;
}

TEST(Recipe, RowsThatAreNoBlocksFallBack) {
  const auto type_of = [](const char* recipe, int64_t cols) {
    const std::vector<TensorShape> tensors = {{"blk.0.attn_q.weight", {64, cols}, DType::bf16}};
    return choose_types(find_recipe(recipe), tensors, {1, 0, 1}, {}, false)[0].type;
  };
  EXPECT_EQ(type_of("q2_k", 96), DType::q4_0);
  EXPECT_EQ(type_of("q4_k_m", 96), DType::q5_0);
  EXPECT_EQ(type_of("q5_k_m", 96), DType::q5_1);
  EXPECT_EQ(type_of("q6_k", 96), DType::q8_0);
  EXPECT_EQ(type_of("iq4_xs", 96), DType::iq4_nl);
  EXPECT_EQ(type_of("nvfp4", 96), DType::q4_0);
  EXPECT_EQ(type_of("q4_k_m", 80), DType::f16);
  EXPECT_EQ(type_of("q8_0", 80), DType::f16);
}

TEST(Recipe, NamesInAnyCaseAndOthersRefused) {
  EXPECT_EQ(find_recipe("Q4_K").name, "q4_k_m");
  EXPECT_EQ(find_type("IQ4_XS"), DType::iq4_xs);
  for (const char* name : {"", "q4", "q4_k_m ", "i8"}) {
    EXPECT_THROW(find_recipe(name), Error) << name;
    EXPECT_THROW(find_type(name), Error) << name;
  }
}

}  // namespace
}  // namespace carat::quant
