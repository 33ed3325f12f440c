#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "engine/exp64.h"

namespace carat {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> random_row(uint64_t seed, int32_t vocab, double spread, int levels = 0) {
  std::vector<float> row(static_cast<size_t>(vocab));
  for (int32_t i = 0; i < vocab; ++i) {
    double u = random_uniform(seed, static_cast<uint64_t>(i)) * 2 - 1;
    if (levels > 0) u = std::round(u * levels) / levels;  // ties
    row[static_cast<size_t>(i)] = static_cast<float>(u * spread);
  }
  return row;
}

// The definition, by a full sort, in long double.
struct Naive {
  int32_t id = -1;
  bool close = false;  // a decision hung on less than rounding can tell
};
Naive naive_sample(std::vector<float> row, const SamplingParams& p, const TokenHistory* h, uint64_t seed, int64_t position) {
  const auto vocab = static_cast<int32_t>(row.size());
  for (const auto& [id, bias] : p.logit_bias) row[static_cast<size_t>(id)] += bias;
  for (int32_t id = 0; h && id < vocab; ++id) {
    float& x = row[static_cast<size_t>(id)];
    if (std::find(h->seen().begin(), h->seen().end(), id) == h->seen().end()) continue;
    x = x > 0 ? x / p.repetition_penalty : x * p.repetition_penalty;
    if (h->output_count(id) > 0) x -= p.frequency_penalty * static_cast<float>(h->output_count(id)) + p.presence_penalty;
  }
  std::vector<int32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)]; });
  if (p.temperature == 0) return {order[0], false};
  if (p.top_k > 0 && p.top_k < vocab) order.resize(static_cast<size_t>(p.top_k));
  std::vector<long double> w;
  for (const int32_t id : order)
    w.push_back(std::exp((static_cast<long double>(row[static_cast<size_t>(id)]) - row[static_cast<size_t>(order[0])]) / p.temperature));
  const long double sum = std::accumulate(w.begin(), w.end(), 0.0L);
  Naive result;
  const auto near = [&](long double a, long double b) { return std::fabs(a - b) < 1e-12L * sum; };
  size_t kept = 0;
  long double held = 0;
  while (kept < w.size()) {
    if (p.top_p < 1 && near(held, p.top_p * sum)) result.close = true;
    if (p.top_p < 1 && held >= p.top_p * sum) break;
    if (p.min_p > 0 && std::fabs(w[kept] - p.min_p) < 1e-12L) result.close = true;
    if (w[kept] < p.min_p) break;
    held += w[kept++];
  }
  const long double target = random_uniform(seed, static_cast<uint64_t>(position)) * held;
  long double passed = 0;
  for (size_t i = 0; i < kept; ++i) {
    passed += w[i];
    if (near(passed, target)) result.close = true;
    result.id = order[i];
    if (passed > target) break;
  }
  return result;
}

TEST(Exp64, IsCloseToTheTruthAndZeroBelow) {
  double worst = 0;
  for (uint64_t i = 0; i < 200000; ++i) {
    const double x = -std::pow(random_uniform(1, i), 3.0) * 700;
    const long double truth = std::exp(static_cast<long double>(x));
    worst = std::max(worst, static_cast<double>(std::fabs(exp_of_nonpositive(x) - truth) / (truth * 0x1p-52L)));
  }
  EXPECT_LT(worst, 1.5);
  EXPECT_EQ(exp_of_nonpositive(0.0), 1.0);
  EXPECT_EQ(exp_of_nonpositive(-static_cast<double>(kInf)), 0.0);
  EXPECT_EQ(exp_of_nonpositive(-1e300), 0.0);
  EXPECT_EQ(exp_of_nonpositive(std::nan("")), 0.0);
  for (uint64_t i = 0; i < 100000; ++i) {
    const double t = 1 + std::pow(random_uniform(2, i), 4.0) * 3e5;
    EXPECT_NEAR(log_of_at_least_one(t), std::log(t), 3e-15 * std::max(1.0, std::log(t)));
  }
}

TEST(Sampler, AgreesWithTheDefinitionForAllParameters) {
  int compared = 0;
  Sampler samplers[] = {Sampler(1), Sampler(63), Sampler(64), Sampler(200), Sampler(4099)};
  const int32_t vocabs[] = {1, 63, 64, 200, 4099};
  for (uint64_t i = 0; i < 6000; ++i) {
    const auto pick = [&](uint64_t what, uint64_t n) { return random_u64(99 + what, i) % n; };
    const size_t which = pick(0, 5);
    const int32_t vocab = vocabs[which];
    const double spread[] = {0.0, 0.1, 3, 30};
    std::vector<float> row = random_row(i, vocab, spread[pick(1, 4)], pick(2, 2) ? 4 : 0);
    if (pick(3, 3) == 0 && vocab > 1) {
      for (int32_t j = 1; j < vocab; j += 3) row[static_cast<size_t>(j)] = -kInf;
    }
    SamplingParams p;
    const float temperatures[] = {0, 0.2f, 1, 1.7f, 50};
    p.temperature = temperatures[pick(4, 5)];
    const int32_t ks[] = {0, 0, 1, 2, 40, 63, 64, 65, 100000};
    p.top_k = ks[pick(5, 9)];
    const float tops[] = {1, 1, 0.95f, 0.5f, 0.01f};
    p.top_p = tops[pick(6, 5)];
    const float mins[] = {0, 0, 0.05f, 0.9f};
    p.min_p = mins[pick(7, 4)];
    TokenHistory history(vocab);
    if (pick(8, 2)) {
      p.repetition_penalty = 1.3f, p.frequency_penalty = 0.2f, p.presence_penalty = -0.3f;
      for (uint64_t j = 0; j < 20; ++j) history.add_output(static_cast<int32_t>(random_u64(i, j + 100000) % static_cast<uint64_t>(vocab)));
      const int32_t said = 0;
      history.add_prompt(std::span(&said, 1));
    }
    if (pick(9, 2)) p.logit_bias[static_cast<int32_t>(pick(10, static_cast<uint64_t>(vocab)))] = 2.5f;
    const TokenHistory* h = LogitRules::has_penalties(p) ? &history : nullptr;
    const Naive expected = naive_sample(row, p, h, i, 17);
    const std::vector<float> before = row;
    const int32_t got = samplers[which].sample(row.data(), p, h, i, 17);
    ASSERT_EQ(std::memcmp(row.data(), before.data(), row.size() * sizeof(float)), 0) << "the row is left as it was";
    if (expected.close) continue;
    ++compared;
    ASSERT_EQ(got, expected.id) << "round " << i << " vocab " << vocab << " T " << p.temperature << " k " << p.top_k << " p " << p.top_p << " min " << p.min_p;
  }
  EXPECT_GT(compared, 5000);
}

// Rows of several chunks, flat enough for long walks: the same choices as the definition's, and the same bits on any number of threads.
TEST(Sampler, LongRowsAreSharedOverThreads) {
  constexpr int32_t kVocab = 20011;
  ThreadPool two(2), five(5);
  const auto on = [](ThreadPool& pool) {
    return ForEach([&pool](int64_t n, const std::function<void(int64_t)>& fn) {
      pool.parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) fn(i);
      });
    });
  };
  Sampler alone(kVocab), others[] = {Sampler(kVocab, on(two)), Sampler(kVocab, on(five))};
  int compared = 0, deep = 0;
  for (uint64_t i = 0; i < 150; ++i) {
    const double spread[] = {0.0, 0.5, 3, 8};
    std::vector<float> row = random_row(i, kVocab, spread[i % 4], i % 3 == 0 ? 6 : 0);
    for (size_t j = 0; i % 5 == 0 && j < row.size(); j += 7) row[j] = -kInf;
    SamplingParams p;
    const float temperatures[] = {0.7f, 1, 40}, tops[] = {1, 0.95f, 0.6f, 0.999999f}, mins[] = {0, 0, 0.3f, 1e-6f, 1};
    p.temperature = temperatures[i / 4 % 3], p.top_p = tops[i / 7 % 4], p.min_p = mins[i / 11 % 5], p.top_k = i % 13 == 0 ? 5000 : 0;
    const Naive expected = naive_sample(row, p, nullptr, i, 3);
    const int32_t got = alone.sample(row.data(), p, nullptr, i, 3);
    if (!expected.close) {
      ++compared;
      ASSERT_EQ(got, expected.id) << "round " << i;
    }
    const TokenLogprob logprob = alone.logprob(row.data(), got, 20);
    deep += std::count_if(row.begin(), row.end(), [&](float x) { return x > row[static_cast<size_t>(got)]; }) > 512;
    for (Sampler& other : others) {
      ASSERT_EQ(other.sample(row.data(), p, nullptr, i, 3), got) << "round " << i;
      const TokenLogprob same = other.logprob(row.data(), got, 20);
      ASSERT_EQ(std::memcmp(&same.logprob, &logprob.logprob, sizeof(float)), 0) << "round " << i;
      ASSERT_EQ(same.top, logprob.top) << "round " << i;
    }
  }
  EXPECT_GT(compared, 100);
  EXPECT_GT(deep, 30);
}

TEST(Sampler, GreedyTiesGoToTheLowestId) {
  Sampler sampler(1000);
  SamplingParams p;
  p.temperature = 0;
  for (const int32_t first : {0, 5, 63, 64, 500, 998}) {
    std::vector<float> row(1000, -3.0f);
    row[static_cast<size_t>(first)] = 7.0f;
    row[999] = 7.0f;
    EXPECT_EQ(sampler.sample(row.data(), p, nullptr, 1, 1), first);
  }
}

double chi_square(const std::vector<double>& probability, const std::vector<int>& seen, int draws, int& cells) {
  double chi = 0;
  cells = 0;
  for (size_t i = 0; i < probability.size(); ++i) {
    if (probability[i] == 0) {
      EXPECT_EQ(seen[i], 0) << "token " << i << " may not be drawn";
      continue;
    }
    const double expected = probability[i] * draws;
    chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    ++cells;
  }
  return chi;
}

TEST(Sampler, DrawsFollowTheDistribution) {
  constexpr int32_t kVocab = 24;
  constexpr int kDraws = 200000;
  Sampler sampler(kVocab);
  std::vector<float> row = random_row(5, kVocab, 2.0);
  struct Case {
    float temperature;
    int32_t top_k;
    float top_p, min_p;
  };
  for (const Case c : {Case{1, 0, 1, 0}, Case{0.5f, 0, 1, 0}, Case{1, 7, 1, 0}, Case{1, 0, 0.6f, 0}, Case{1, 0, 1, 0.3f}, Case{1.5f, 12, 0.8f, 0.05f}}) {
    SamplingParams p;
    p.temperature = c.temperature, p.top_k = c.top_k, p.top_p = c.top_p, p.min_p = c.min_p;
    // The kept set in plain words.
    std::vector<std::pair<double, int>> order;
    for (int i = 0; i < kVocab; ++i) order.emplace_back(std::exp(row[static_cast<size_t>(i)] / c.temperature), i);
    std::sort(order.rbegin(), order.rend());
    if (c.top_k) order.resize(static_cast<size_t>(c.top_k));
    double sum = 0, held = 0;
    for (const auto& o : order) sum += o.first;
    std::vector<double> probability(kVocab);
    for (const auto& [w, id] : order) {
      if (held >= c.top_p * sum || w < c.min_p * order[0].first) break;
      probability[static_cast<size_t>(id)] = w;
      held += w;
    }
    for (double& q : probability) q /= held;
    std::vector<int> seen(kVocab);
    for (int i = 0; i < kDraws; ++i) ++seen[static_cast<size_t>(sampler.sample(row.data(), p, nullptr, 77, i))];
    int cells = 0;
    const double chi = chi_square(probability, seen, kDraws, cells);
    EXPECT_LT(chi, cells + 6 * std::sqrt(2.0 * cells)) << "T " << c.temperature << " k " << c.top_k << " p " << c.top_p << " min " << c.min_p;
  }
}

TEST(Sampler, LogprobsAreALogSoftmaxWithTiesToTheLowestId) {
  for (const int32_t vocab : {1, 5, 64, 1000, 4099}) {
    Sampler sampler(vocab);
    for (uint64_t round = 0; round < 20; ++round) {
      std::vector<float> row = random_row(round, vocab, 20, round % 2 ? 5 : 0);
      if (vocab > 4) row[2] = -kInf;
      long double sum = 0;
      for (const float x : row) sum += std::exp(static_cast<long double>(x));
      const auto truth = [&](int32_t id) { return static_cast<float>(row[static_cast<size_t>(id)] - std::log(sum)); };
      std::vector<int32_t> order(row.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)]; });
      for (const int32_t top : {0, 1, 5, 70, vocab}) {
        const int32_t id = static_cast<int32_t>(round) % vocab;
        const TokenLogprob got = sampler.logprob(row.data(), id, top);
        EXPECT_EQ(got.id, id);
        if (std::isinf(truth(id))) {
          EXPECT_EQ(got.logprob, -kInf);
        } else {
          EXPECT_NEAR(got.logprob, truth(id), 1e-6 * std::max(1.0f, std::fabs(truth(id))));
        }
        ASSERT_EQ(got.top.size(), static_cast<size_t>(std::min(top, vocab)));
        for (size_t i = 0; i < got.top.size(); ++i) {
          ASSERT_EQ(got.top[i].first, order[i]);
          if (std::isinf(truth(order[i]))) continue;
          EXPECT_NEAR(got.top[i].second, truth(order[i]), 1e-6 * std::max(1.0f, std::fabs(truth(order[i]))));
        }
      }
    }
  }
}

TEST(Sampler, RowsWithoutAFiniteLogitAreRefused) {
  Sampler sampler(10);
  std::vector<float> row(10, -kInf);
  SamplingParams p;
  EXPECT_THROW(sampler.sample(row.data(), p, nullptr, 1, 1), Error);
  std::fill(row.begin(), row.end(), std::nanf(""));
  EXPECT_THROW(sampler.sample(row.data(), p, nullptr, 1, 1), Error);
  EXPECT_THROW(sampler.logprob(row.data(), 1, 1), Error);
  row[3] = 1.0f;  // one is left: that one, whatever stands around it
  EXPECT_EQ(sampler.sample(row.data(), p, nullptr, 1, 1), 3);
}

}  // namespace
}  // namespace carat
