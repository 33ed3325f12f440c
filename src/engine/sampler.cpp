#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "engine/exp64.h"

namespace carat {
namespace {

constexpr float kNegInf = -std::numeric_limits<float>::infinity();
constexpr int kLanes = 16;

// Lanes are independent, so that the compiler may put them side by side; NaN never wins.
float max_of(const float* x, int32_t n) {
  float m[kLanes];
  std::fill_n(m, kLanes, kNegInf);
  int32_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
  }
  for (; i < n; ++i) m[0] = x[i] > m[0] ? x[i] : m[0];
  for (int j = 1; j < kLanes; ++j) m[0] = m[j] > m[0] ? m[j] : m[0];
  return m[0];
}

}  // namespace

double Sampler::weight(float x, double inverse_temperature) const {
  return exp_of_nonpositive((static_cast<double>(x) - static_cast<double>(max_)) * inverse_temperature);
}

void Sampler::scan(const float* row) {
  block_max_.resize(static_cast<size_t>((vocab_size_ + kBlock - 1) / kBlock));
  max_ = kNegInf;
  for (size_t b = 0; b < block_max_.size(); ++b) {
    const auto begin = static_cast<int32_t>(b) * kBlock;
    block_max_[b] = max_of(row + begin, std::min(kBlock, vocab_size_ - begin));
    max_ = std::max(max_, block_max_[b]);
  }
  if (!std::isfinite(max_)) fail(ErrorCode::internal, "logits: none is finite; the model's weights or this build's arithmetic are broken");
}

int32_t Sampler::first_of(const float* row, float x) const {
  const auto block = std::find(block_max_.begin(), block_max_.end(), x);
  const auto begin = static_cast<int32_t>(block - block_max_.begin()) * kBlock;
  return static_cast<int32_t>(std::find(row + begin, row + vocab_size_, x) - row);
}

double Sampler::total(const float* row, double inverse_temperature) const {
  const auto largest = static_cast<double>(max_);
  double w[kBlock];
  double sums[kLanes] = {};
  for (int32_t begin = 0; begin < vocab_size_; begin += kBlock) {
    const int32_t n = std::min(kBlock, vocab_size_ - begin);
    if (n < kBlock) std::fill_n(w, kBlock, 0.0);
    for (int32_t i = 0; i < n; ++i) w[i] = exp_of_nonpositive((static_cast<double>(row[begin + i]) - largest) * inverse_temperature);
    for (int32_t i = 0; i < kBlock; i += kLanes) {
      for (int j = 0; j < kLanes; ++j) sums[j] += w[i + j];
    }
  }
  for (int n = kLanes / 2; n > 0; n /= 2) {
    for (int j = 0; j < n; ++j) sums[j] += sums[j + n];
  }
  return sums[0];
}

void Sampler::best(const float* row, int32_t count) {
  const auto before = [](const Candidate& a, const Candidate& b) { return a.x != b.x ? a.x > b.x : a.id < b.id; };
  candidates_.clear();
  count = std::min(count, vocab_size_);
  if (count <= 0) return;
  // The count-th best block maximum: at least `count` logits reach it, seldom many more.
  float least = kNegInf;
  if (static_cast<size_t>(count) <= block_max_.size()) {
    order_ = block_max_;
    std::nth_element(order_.begin(), order_.begin() + (count - 1), order_.end(), std::greater<>());
    least = order_[static_cast<size_t>(count) - 1];
  }
  for (size_t b = 0; b < block_max_.size(); ++b) {
    if (block_max_[b] < least) continue;
    const int32_t begin = static_cast<int32_t>(b) * kBlock;
    const int32_t end = std::min(begin + kBlock, vocab_size_);
    for (int32_t i = begin; i < end; ++i) {
      if (row[i] >= least) candidates_.push_back({row[i], i});  // never NaN
    }
  }
  if (candidates_.size() > static_cast<size_t>(count)) {
    std::nth_element(candidates_.begin(), candidates_.begin() + (count - 1), candidates_.end(), before);
    candidates_.resize(static_cast<size_t>(count));
  }
  std::sort(candidates_.begin(), candidates_.end(), before);
}

int32_t Sampler::draw(const float* row, const SamplingParams& params, uint64_t seed, int64_t position) {
  scan(row);
  if (params.temperature == 0.0f || params.top_k == 1) return first_of(row, max_);

  const double inverse_temperature = 1.0 / static_cast<double>(params.temperature);
  const bool truncated = params.top_k > 0 && params.top_k < vocab_size_;
  // How many of the best are at hand, in order. Without top-k more are fetched as the walk down wants them: it is short unless the row is flat.
  const int32_t limit = truncated ? params.top_k : vocab_size_;
  best(row, std::min(limit, truncated ? limit : kBlock));
  const auto at = [&](int32_t i) -> const Candidate* {
    if (i == static_cast<int32_t>(candidates_.size()) && i < limit) best(row, std::min(limit, 8 * i));
    return i < static_cast<int32_t>(candidates_.size()) ? &candidates_[static_cast<size_t>(i)] : nullptr;
  };

  double sum = 0;
  if (truncated) {
    for (const Candidate& c : candidates_) sum += weight(c.x, inverse_temperature);
  } else {
    sum = total(row, inverse_temperature);
  }
  // top-p: the fewest of the best that hold that share; min-p: those not too far below the best. Both are a cut in the order.
  int32_t kept = limit;
  if (params.top_p < 1.0f || params.min_p > 0.0f) {
    const double share = params.top_p < 1.0f ? static_cast<double>(params.top_p) * sum : std::numeric_limits<double>::infinity();
    double held = 0;
    for (kept = 0; held < share;) {
      const Candidate* c = at(kept);
      const double w = c ? weight(c->x, inverse_temperature) : 0;
      if (w == 0 || w < static_cast<double>(params.min_p)) break;
      held += w;
      ++kept;
    }
    sum = held;
  }
  const double target = random_uniform(seed, static_cast<uint64_t>(position)) * sum;
  double passed = 0;
  int32_t chosen = candidates_.front().id;
  for (int32_t i = 0; i < kept; ++i) {
    const Candidate* c = at(i);
    const double w = c ? weight(c->x, inverse_temperature) : 0;
    if (w == 0) break;  // rounding of the sum led past the end: the last one it is
    chosen = c->id;
    passed += w;
    if (passed > target) break;
  }
  return chosen;
}

int32_t Sampler::sample(float* row, const SamplingParams& params, const TokenHistory* history, uint64_t seed, int64_t position) {
  rules_.apply(row, vocab_size_, params, history);
  struct Undo {
    LogitRules& rules;
    float* row;
    ~Undo() { rules.undo(row); }
  } undo{rules_, row};
  return draw(row, params, seed, position);
}

TokenLogprob Sampler::logprob(const float* row, int32_t id, int32_t top) {
  scan(row);
  const double log_total = log_of_at_least_one(total(row, 1.0));
  const auto of = [&](float x) { return static_cast<float>((static_cast<double>(x) - static_cast<double>(max_)) - log_total); };
  TokenLogprob result;
  result.id = id;
  if (id >= 0) result.logprob = of(row[id]);
  best(row, top);
  result.top.reserve(candidates_.size());
  for (const Candidate& c : candidates_) result.top.emplace_back(c.id, of(c.x));
  return result;
}

}  // namespace carat
