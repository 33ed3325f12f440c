// The real 270M against transformers on the dequantised weights: perplexity, greedy text, log-probabilities.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "support/real_model.h"
#include "support/single_sequence.h"

namespace carat {
namespace {

double log_probability(const float* logits, int64_t n, int32_t id) {
  const double largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(logits[i] - largest);
  return logits[id] - largest - std::log(sum);
}

struct Real {
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Model> model;
  Json reference = test::read_json(test::golden("real/gemma3_270m_q4_k_m.json"));
  explicit Real(std::unique_ptr<Ops> o) : ops(std::move(o)), model(Model::load(Checkpoint::open(test::real_model()), *ops)) {}

  // -log p of tokens 1..n-1 of a chunk.
  std::vector<double> nll(const std::vector<int32_t>& ids, DType kv) {
    std::vector<double> out;
    test::SingleSequence s(*model, *ops, kv, static_cast<int32_t>(ids.size()));
    for (size_t at = 0; at < ids.size(); at += 64) {
      const std::vector<int32_t> part(ids.begin() + static_cast<int64_t>(at), ids.begin() + static_cast<int64_t>(std::min(at + 64, ids.size())));
      Tensor logits = s.run(part);
      for (size_t i = 0; i < part.size() && at + i + 1 < ids.size(); ++i)
        out.push_back(-log_probability(logits.row(static_cast<int64_t>(i)), logits.cols, ids[at + i + 1]));
    }
    return out;
  }
  // Follows the reference's own greedy text as far as its top-1/top-2 gap is at least min_gap; returns the largest |log p - reference| met there.
  void greedy(double min_gap, double tolerance, DType kv) {
    for (const Json& prompt : reference.at("transformers_dequantised_float32").at("prompts")) {
      const auto ids = prompt.at("ids").get<std::vector<int32_t>>();
      const auto want = prompt.at("greedy_ids").get<std::vector<int32_t>>();
      test::SingleSequence s(*model, *ops, kv, static_cast<int32_t>(ids.size() + want.size()));
      Tensor logits = s.run(ids, false);
      for (size_t i = 0; i < want.size(); ++i) {
        const Json& top = prompt.at("top5").at(i);
        if (top.at(0).at(1).get<double>() - top.at(1).at(1).get<double>() < min_gap) break;
        const int32_t best = static_cast<int32_t>(std::max_element(logits.data, logits.data + logits.cols) - logits.data);
        ASSERT_EQ(best, want[i]) << "prompt of " << ids.size() << " tokens, step " << i;
        if (tolerance > 0) {
          EXPECT_NEAR(log_probability(logits.data, logits.cols, want[i]), top.at(0).at(1).get<double>(), tolerance) << "step " << i;
        }
        logits = s.run({want[i]}, false);
      }
    }
  }
  double perplexity(DType kv, int chunks) {
    const auto ids = Checkpoint::open(test::golden("real/text_ids.safetensors"));
    const TensorInfo& t = ids->at("ids");
    std::vector<int32_t> all(static_cast<size_t>(t.elements()));
    t.read_rows(0, 1, reinterpret_cast<std::byte*>(all.data()));
    double sum = 0;
    int64_t n = 0;
    for (int c = 0; c < chunks; ++c) {
      std::vector<int32_t> chunk(all.begin() + c * 512, all.begin() + (c + 1) * 512);
      chunk[0] = 2;
      const std::vector<double> l = nll(chunk, kv);
      for (size_t i = 256; i < l.size(); ++i) sum += l[i], ++n;
    }
    return std::exp(sum / static_cast<double>(n));
  }
};

class Real270m : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::have_real_model())
      GTEST_SKIP() << "the real model is not at " << test::real_model() << " (./dev model) or the reference cases are not at " << test::shared_dir();
  }
};

TEST_F(Real270m, PerplexityWithinHalfAPercent) {
  Real real(make_cpu_ops({.num_threads = 2}));
  const double p = real.perplexity(DType::f16, 9);
  RecordProperty("perplexity", std::to_string(p));
  std::cout << "perplexity " << p << " (transformers 22.683, llama.cpp 22.727)\n";
  EXPECT_NEAR(p, 22.682729329439915, 22.682729329439915 * 0.005);
}

TEST_F(Real270m, GreedyTextOfAllPrompts) {
  Real real(make_cpu_ops({.num_threads = 2}));
  real.greedy(0.15, 0, DType::f16);
}

TEST_F(Real270m, ReferenceBackendWithinTheTightTolerances) {
  Real real(make_ref_ops());
  const Json& tolerance = real.reference.at("tolerance");
  real.greedy(tolerance.at("logprob_abs_to_transformers").get<double>(), tolerance.at("logprob_abs_to_transformers").get<double>(), DType::f32);
  const auto want = Checkpoint::open(test::golden("real/hf_chunk0_nll.safetensors"))->at("nll").to_f32();
  const auto ids = Checkpoint::open(test::golden("real/text_ids.safetensors"));
  std::vector<int32_t> chunk(static_cast<size_t>(ids->at("ids").elements()));
  ids->at("ids").read_rows(0, 1, reinterpret_cast<std::byte*>(chunk.data()));
  chunk.resize(512);
  chunk[0] = 2;
  const std::vector<double> got = real.nll(chunk, DType::f32);
  ASSERT_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] - want[i]));
  std::cout << "largest difference of a log-probability in the first chunk " << worst << "\n";
  EXPECT_LE(worst, tolerance.at("logprob_abs_to_transformers").get<double>());
}

}  // namespace
}  // namespace carat
