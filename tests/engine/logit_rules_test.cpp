#include "engine/logit_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace carat {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(LogitRules, DoWhatTheirFormulasSayAndAreTakenBack) {
  SamplingParams p;
  p.repetition_penalty = 2.0f;
  p.frequency_penalty = 0.25f;
  p.presence_penalty = 1.0f;
  p.logit_bias = {{1, 3.0f}, {4, -5.0f}};
  TokenHistory history(6);
  history.add_prompt(std::vector<int32_t>{0, 0, 2});
  history.add_output(2);
  history.add_output(2);
  history.add_output(3);
  std::vector<float> row = {4.0f, 1.0f, -1.0f, 8.0f, 2.0f, 0.5f};
  const std::vector<float> before = row;
  LogitRules rules;
  rules.apply(row.data(), 6, p, &history);
  EXPECT_EQ(row, (std::vector<float>{2.0f, 4.0f, -2.0f - 0.5f - 1.0f, 4.0f - 0.25f - 1.0f, -3.0f, 0.5f}));
  rules.undo(row.data());
  EXPECT_EQ(row, before);
}

TEST(LogitRules, BiasComesBeforePenalties) {
  SamplingParams p;
  p.repetition_penalty = 2.0f;
  p.logit_bias = {{0, 3.0f}};
  TokenHistory history(2);
  history.add_prompt(std::vector<int32_t>{0});
  std::vector<float> row = {-1.0f, 0.0f};
  LogitRules rules;
  rules.apply(row.data(), 2, p, &history);
  EXPECT_EQ(row[0], 1.0f);  // (-1 + 3) / 2, not -1 * 2 + 3
  rules.undo(row.data());
  EXPECT_EQ(row[0], -1.0f);
}

TEST(LogitRules, UndoRestoresEveryBit) {
  constexpr int32_t kVocab = 300;
  SamplingParams p;
  p.repetition_penalty = 1.3f;
  p.frequency_penalty = 0.7f;
  LogitRules rules;
  for (uint64_t round = 0; round < 50; ++round) {
    TokenHistory history(kVocab);
    std::vector<float> row(kVocab);
    for (int32_t i = 0; i < kVocab; ++i) row[static_cast<size_t>(i)] = static_cast<float>(random_uniform(round, static_cast<uint64_t>(i)) * 60 - 30);
    for (uint64_t i = 0; i < 100; ++i) {
      const auto id = static_cast<int32_t>(random_u64(round + 1000, i) % kVocab);
      if (i % 2)
        history.add_output(id);
      else
        history.add_prompt(std::span(&id, 1));
      p.logit_bias[id] = 0.1f;
    }
    suppress(row.data(), kVocab, std::vector<int32_t>{3, 5, -1, kVocab});
    const std::vector<float> before = row;
    rules.apply(row.data(), kVocab, p, &history);
    EXPECT_NE(std::memcmp(row.data(), before.data(), sizeof(float) * kVocab), 0);
    EXPECT_EQ(row[3], -kInf);
    rules.undo(row.data());
    EXPECT_EQ(std::memcmp(row.data(), before.data(), sizeof(float) * kVocab), 0);
  }
}

TEST(TokenHistory, CountsTheOutputOnly) {
  TokenHistory h(10);
  h.add_prompt(std::vector<int32_t>{1, 1, 2});
  h.add_output(2);
  h.add_output(3);
  h.add_output(3);
  EXPECT_EQ(h.seen(), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(h.output_count(1), 0);
  EXPECT_EQ(h.output_count(2), 1);
  EXPECT_EQ(h.output_count(3), 2);
}

TEST(SamplingParams, NameTheFieldThatIsOutOfRange) {
  const auto message = [](auto change) -> std::string {
    SamplingParams p;
    change(p);
    try {
      p.validate(100);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(message([](SamplingParams&) {}), "");
  EXPECT_EQ(message([](SamplingParams& p) { p.temperature = 0, p.top_p = 1, p.min_p = 0.5f, p.max_tokens = 0, p.logprobs = 100; }), "");
  const std::vector<std::pair<std::string, void (*)(SamplingParams&)>> bad = {
      {"temperature", [](SamplingParams& p) { p.temperature = -0.1f; }},
      {"temperature", [](SamplingParams& p) { p.temperature = std::nanf(""); }},
      {"top_k", [](SamplingParams& p) { p.top_k = -1; }},
      {"top_p", [](SamplingParams& p) { p.top_p = 0; }},
      {"top_p", [](SamplingParams& p) { p.top_p = 1.1f; }},
      {"min_p", [](SamplingParams& p) { p.min_p = 1; }},
      {"repetition_penalty", [](SamplingParams& p) { p.repetition_penalty = 0; }},
      {"frequency_penalty", [](SamplingParams& p) { p.frequency_penalty = kInf; }},
      {"presence_penalty", [](SamplingParams& p) { p.presence_penalty = std::nanf(""); }},
      {"logit_bias", [](SamplingParams& p) { p.logit_bias[100] = 1; }},
      {"logit_bias", [](SamplingParams& p) { p.logit_bias[1] = -kInf; }},
      {"max_tokens", [](SamplingParams& p) { p.max_tokens = -2; }},
      {"stop", [](SamplingParams& p) { p.stop = {""}; }},
      {"stop_token_ids", [](SamplingParams& p) { p.stop_token_ids = {-1}; }},
      {"logprobs", [](SamplingParams& p) { p.logprobs = 101; }},
      {"prompt_logprobs", [](SamplingParams& p) { p.prompt_logprobs = -2; }},
  };
  for (const auto& [field, change] : bad) EXPECT_EQ(message(change).rfind(field + ":", 0), 0u) << field << " / " << message(change);
}

}  // namespace
}  // namespace carat
