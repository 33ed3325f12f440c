#pragma once
// How far the predictions of a quantised model are from those of the model it was made from, on a text.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "quant/importance.h"

namespace carat::quant {

// Of next-token distributions p (before) and q (after): KL(p || q) in nats, one at each position that has a next token.
struct Divergence {
  int64_t positions = 0;
  double mean = 0, median = 0, p99 = 0, largest = 0;
  double same_best = 0;  // share of positions where both find the same token most likely
  double perplexity_before = 0, perplexity_after = 0;
};

// One model after the other: the first one's logits wait in a file without a name in `scratch`, four bytes a position and token of the vocabulary.
// At most max_positions of the text are looked at. Fails as collect_importance() does; with exhausted when the disk has no room; with unsupported when the vocabularies
// differ.
Divergence measure_divergence(const std::shared_ptr<const Checkpoint>& before, const std::shared_ptr<const Checkpoint>& after, std::span<const int32_t> ids,
                              int32_t bos, const std::filesystem::path& scratch, const RunOptions& options);

inline constexpr int64_t kDivergencePositions = 512;  // 512 MiB of scratch for a vocabulary of 262,144

}  // namespace carat::quant
