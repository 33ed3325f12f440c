#pragma once
// A model over a text, window by window, without an engine: each window is a sequence of its own that has the whole cache, and every position's logits are made.
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/kv_store.h"
#include "backend/ops.h"
#include "model/model.h"

namespace carat::quant {

inline constexpr int32_t kWindow = 512;  // tokens

// A text cut into windows of at most kWindow tokens, each with `bos` in front (a negative one: none). The last may be shorter; one of a single token is left out.
std::vector<std::vector<int32_t>> windows_of(std::span<const int32_t> ids, int32_t bos);

class TextRun {
 public:
  // The cache is in f32. Both outlive this.
  TextRun(const Model& model, Ops& ops);

  // Runs a window, `step` rows at a time; on_logits(row, logits) gets those of rows row, row + 1, ..., which are valid until it returns.
  void run(const std::vector<int32_t>& window, int32_t step, const std::function<void(int32_t row, Tensor logits)>& on_logits);

 private:
  const Model& model_;
  Ops& ops_;
  std::vector<int32_t> slots_[kNumKvGroups];
  std::unique_ptr<KvStore> kv_;
};

}  // namespace carat::quant
