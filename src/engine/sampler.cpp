#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

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

// Logits by how far they are below the best, a sixteenth of a unit of the exponent each; the last bin holds what weighs less than e^-31 of the best.
constexpr int kBins = 512;
constexpr double kBinsAUnit = 16;

// NaN: the last one.
int bin_of(double below) { return below < (kBins - 1) / kBinsAUnit ? static_cast<int>(below * kBinsAUnit) : kBins - 1; }

}  // namespace

void Sampler::run(int64_t n, const std::function<void(int64_t i)>& fn) const {
  if (for_each_ && n > 1) return for_each_(n, fn);
  for (int64_t i = 0; i < n; ++i) fn(i);
}

template <typename Fn>
void Sampler::in_chunks(Fn&& fn) {
  run((vocab_size_ + kChunk - 1) / kChunk, [&](int64_t chunk) {
    const auto begin = static_cast<int32_t>(chunk) * kChunk;
    fn(static_cast<size_t>(chunk), begin, std::min(begin + kChunk, vocab_size_));
  });
}

double Sampler::weight(float x, double inverse_temperature) const {
  return exp_of_nonpositive((static_cast<double>(x) - static_cast<double>(max_)) * inverse_temperature);
}

void Sampler::scan(const float* row) {
  block_max_.resize(static_cast<size_t>((vocab_size_ + kBlock - 1) / kBlock));
  in_chunks([&](size_t, int32_t begin, int32_t end) {
    for (int32_t i = begin; i < end; i += kBlock) block_max_[static_cast<size_t>(i / kBlock)] = max_of(row + i, std::min(kBlock, end - i));
  });
  max_ = max_of(block_max_.data(), static_cast<int32_t>(block_max_.size()));
  if (!std::isfinite(max_)) fail(ErrorCode::internal, "logits: none is finite; the model's weights or this build's arithmetic are broken");
}

int32_t Sampler::first_of(const float* row, float x) const {
  const auto block = std::find(block_max_.begin(), block_max_.end(), x);
  const auto begin = static_cast<int32_t>(block - block_max_.begin()) * kBlock;
  return static_cast<int32_t>(std::find(row + begin, row + vocab_size_, x) - row);
}

double Sampler::total(const float* row, double inverse_temperature) {
  totals_.resize(static_cast<size_t>((vocab_size_ + kChunk - 1) / kChunk));
  in_chunks([&](size_t chunk, int32_t begin, int32_t end) { totals_[chunk] = total_of(row + begin, end - begin, inverse_temperature); });
  double sum = 0;
  for (const double part : totals_) sum += part;
  return sum;
}

double Sampler::total_of(const float* x, int32_t count, double inverse_temperature) const {
  const auto largest = static_cast<double>(max_);
  double w[kBlock];
  double sums[kLanes] = {};
  for (int32_t begin = 0; begin < count; begin += kBlock) {
    const int32_t n = std::min(kBlock, count - begin);
    if (n < kBlock) std::fill_n(w, kBlock, 0.0);
    for (int32_t i = 0; i < n; ++i) w[i] = exp_of_nonpositive((static_cast<double>(x[begin + i]) - largest) * inverse_temperature);
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
    std::nth_element(candidates_.begin(), candidates_.begin() + (count - 1), candidates_.end());
    candidates_.resize(static_cast<size_t>(count));
  }
  std::sort(candidates_.begin(), candidates_.end());
}

// Bins are in order already: logits are put into theirs, and each bin is sorted by itself.
void Sampler::best_of_mass(const float* row, double inverse_temperature, double mass, double least) {
  const size_t before = candidates_.size();
  const auto below = [&](int32_t i) { return (static_cast<double>(max_) - static_cast<double>(row[i])) * inverse_temperature; };
  const auto is_number = [&](int32_t i) { return row[i] >= kNegInf; };
  const size_t chunks = static_cast<size_t>((vocab_size_ + kChunk - 1) / kChunk);
  counts_.assign(chunks * kBins, 0), belows_.assign(chunks * kBins, 0);
  in_chunks([&](size_t chunk, int32_t begin, int32_t end) {
    int32_t* counts = counts_.data() + chunk * kBins;
    double* belows = belows_.data() + chunk * kBins;
    for (int32_t i = begin; i < end; ++i) {
      if (!is_number(i)) continue;
      const double d = below(i);
      ++counts[bin_of(d)];
      belows[bin_of(d)] += d;
    }
  });
  // As many bins as are needed. A bin weighs at least what it would if all in it were as far below as they are in the mean, and 1 in 6000 more at most.
  // Counts become places.
  int32_t starts[kBins + 1] = {};
  int bins = 0;
  for (double held = 0; bins < kBins && (held < mass || static_cast<size_t>(starts[bins]) <= before); ++bins) {
    const bool enough = static_cast<size_t>(starts[bins]) > before;
    if (enough && exp_of_nonpositive(-bins / kBinsAUnit) < least) break;
    int32_t place = starts[bins];
    double sum = 0;
    for (size_t at = static_cast<size_t>(bins); at < counts_.size(); at += kBins) place += std::exchange(counts_[at], place), sum += belows_[at];
    const int32_t count = place - starts[bins];
    if (count > 0) held += exp_of_nonpositive(-sum / count) * count;
    starts[bins + 1] = place;
  }
  candidates_.resize(static_cast<size_t>(starts[bins]));
  in_chunks([&](size_t chunk, int32_t begin, int32_t end) {
    int32_t* places = counts_.data() + chunk * kBins;
    for (int32_t i = begin; i < end; ++i) {
      const int b = bin_of(below(i));
      if (b < bins && is_number(i)) candidates_[static_cast<size_t>(places[b]++)] = {row[i], i};
    }
  });
  run(bins, [&](int64_t b) { std::sort(candidates_.begin() + starts[b], candidates_.begin() + starts[b + 1]); });
}

int32_t Sampler::draw(const float* row, const SamplingParams& params, uint64_t seed, int64_t position) {
  scan(row);
  if (params.temperature == 0.0f || params.top_k == 1) return first_of(row, max_);

  const double inverse_temperature = 1.0 / static_cast<double>(params.temperature);
  const bool truncated = params.top_k > 0 && params.top_k < vocab_size_;
  // How many of the best are at hand, in order. Without top-k more are fetched as the walk down wants them: it is short unless the row is flat. Then all that its
  // end may need are fetched at once.
  constexpr int32_t kShort = 8 * kBlock;
  const int32_t limit = truncated ? params.top_k : vocab_size_;
  best(row, std::min(limit, truncated ? limit : kBlock));
  double end = 0;  // the weight at which the walk ends
  const auto at = [&](int32_t i) -> const Candidate* {
    if (i == static_cast<int32_t>(candidates_.size()) && i < limit) {
      if (i < kShort) {
        best(row, std::min(limit, kShort));
      } else {
        best_of_mass(row, inverse_temperature, end, static_cast<double>(params.min_p));
      }
    }
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
    end = share;
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
  end = target;
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
