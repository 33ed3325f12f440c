#pragma once
// A token from a row of logits. A pure function of (row, params, history, seed, position); made for rows of 262,144: no sort of a whole row.
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "engine/logit_rules.h"
#include "engine/request.h"
#include "engine/token_history.h"

namespace carat {

// Calls fn(i) once for every i in [0, n), perhaps on several threads at once, and returns when all are done. fn does not throw.
using ForEach = std::function<void(int64_t n, const std::function<void(int64_t i)>& fn)>;

class Sampler {
 public:
  // A row is worked on in chunks of fixed size: results do not depend on who runs them. for_each empty: on the caller's thread.
  explicit Sampler(int32_t vocab_size, ForEach for_each = {}) : vocab_size_(vocab_size), for_each_(std::move(for_each)) {}

  // Logit bias, penalties, temperature, top-k, top-p, min-p, draw. Candidates stand in descending order, ties by ascending id; the draw walks down that order with
  // the uniform number of (seed, position). Temperature 0: the first of them. The row is the same afterwards as before.
  // Fails with internal when no logit is finite (broken weights).
  int32_t sample(float* row, const SamplingParams& params, const TokenHistory* history, uint64_t seed, int64_t position);

  // Log-softmax of the row as it stands, in double: of `id` (-1: none, logprob 0) and of the `top` best.
  TokenLogprob logprob(const float* row, int32_t id, int32_t top);

 private:
  struct Candidate {
    float x;
    int32_t id;
    bool operator<(const Candidate& other) const { return x != other.x ? x > other.x : id < other.id; }  // stands before it
  };
  int32_t draw(const float* row, const SamplingParams& params, uint64_t seed, int64_t position);
  void scan(const float* row);  // max_, block_max_
  int32_t first_of(const float* row, float x) const;
  double total(const float* row, double inverse_temperature);  // sum of exp((x - max_) / temperature), in a fixed order
  double total_of(const float* x, int32_t n, double inverse_temperature) const;
  void best(const float* row, int32_t count);  // candidates_: the `count` best, in order
  // candidates_: of the best, in order, as many as weigh `mass` together, but none that all weigh less than `least`; some more, and at least one new one, if there is.
  void best_of_mass(const float* row, double inverse_temperature, double mass, double least);
  double weight(float x, double inverse_temperature) const;
  // fn(chunk, begin, end) for every chunk of the row.
  template <typename Fn>
  void in_chunks(Fn&& fn);
  void run(int64_t n, const std::function<void(int64_t i)>& fn) const;

  static constexpr int32_t kBlock = 64, kChunk = 128 * kBlock;
  int32_t vocab_size_;
  ForEach for_each_;
  float max_ = 0;
  std::vector<float> block_max_;  // of kBlock logits each
  std::vector<float> order_;
  std::vector<Candidate> candidates_;
  std::vector<double> totals_;   // of each chunk
  std::vector<int32_t> counts_;  // of each chunk and bin
  std::vector<double> belows_;   // of each chunk and bin
  LogitRules rules_;
};

}  // namespace carat
