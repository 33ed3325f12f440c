#pragma once
// What a step of a model must do at least: operations, and bytes of weights and cache. Counted from the configuration and the matrices, not measured.
#include <cstdint>

#include "tensor/dtype.h"

namespace carat {

struct ModelConfig;
struct Weights;

// Rows of a step: of each of `sequences` sequences `rows` consecutive ones, the first at position `depth`, the last `logit_rows` of them with logits.
struct StepShape {
  int64_t sequences = 1;
  int64_t rows = 1;
  int64_t depth = 0;
  int64_t logit_rows = 1;
};

struct Work {
  double int8_ops = 0;  // 2 a multiply-add: matrices that are quantised, times rows in int8
  double f32_ops = 0;   // matrices that are not, and attention: its scores and its sum over the values
  double bytes = 0;     // read once a step: matrices as they are packed, norms, K and V of the positions seen; not what the step itself writes

  Work& operator+=(const Work& other) {
    int8_ops += other.int8_ops, f32_ops += other.f32_ops, bytes += other.bytes;
    return *this;
  }
};

// Rows of layers that share K/V count only where logits are wanted, as only they are computed. Of the experts, each row uses top_k; how many different ones the
// rows of a step use together, and so read, is the expectation for rows that choose independently, each expert as likely: E (1 - (1 - top_k / E)^rows).
// kv: type of the cache. An embedding row and a per-layer row (from the file) a token are counted; what norms, rope and activations compute is not.
Work step_work(const ModelConfig& config, const Weights& weights, DType kv, const StepShape& shape);

}  // namespace carat
