#pragma once
// A token from a row of logits. A pure function of (row, params, history, seed, position); made for rows of 262,144: no sort of a whole row.
#include <cstdint>
#include <vector>

#include "engine/logit_rules.h"
#include "engine/request.h"
#include "engine/token_history.h"

namespace carat {

class Sampler {
 public:
  explicit Sampler(int32_t vocab_size) : vocab_size_(vocab_size) {}

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
  };
  int32_t draw(const float* row, const SamplingParams& params, uint64_t seed, int64_t position);
  void scan(const float* row);  // max_, block_max_
  int32_t first_of(const float* row, float x) const;
  double total(const float* row, double inverse_temperature) const;  // sum of exp((x - max_) / temperature), in a fixed order
  void best(const float* row, int32_t count);                        // candidates_: the `count` best, in order
  double weight(float x, double inverse_temperature) const;

  static constexpr int32_t kBlock = 64;
  int32_t vocab_size_;
  float max_ = 0;
  std::vector<float> block_max_;  // of kBlock logits each
  std::vector<float> order_;
  std::vector<Candidate> candidates_;
  LogitRules rules_;
};

}  // namespace carat
