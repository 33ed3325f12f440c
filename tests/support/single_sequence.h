#pragma once
// One sequence over a model without the engine: the whole cache is its own.
#include <memory>
#include <numeric>
#include <vector>

#include "model/model.h"

namespace carat::test {

class SingleSequence {
 public:
  SingleSequence(const Model& model, Ops& ops, DType kv_dtype, int32_t ctx) : model_(model), ops_(ops) {
    const KvLayout layout = model.kv_layout(kv_dtype);
    int32_t next = 0;
    for (int g = 0; g < kNumKvGroups; ++g) {
      const int32_t blocks = layout.slots_per_block[g] == 0 ? 0 : (ctx + layout.block_positions[g] - 1) / layout.block_positions[g];
      slots_[g].resize(static_cast<size_t>(blocks * layout.slots_per_block[g]));
      for (int32_t& s : slots_[g]) s = next++;
    }
    kv_ = std::make_unique<KvStore>(layout, next);
  }

  // Runs ids as the next positions; logits of all of them (or of the last only).
  Tensor run(const std::vector<int32_t>& ids, bool all_logits = true) {
    Batch b;
    b.token_ids = ids;
    b.positions.resize(ids.size());
    std::iota(b.positions.begin(), b.positions.end(), length_);
    BatchSpan span;
    span.rows = static_cast<int32_t>(ids.size());
    span.position0 = length_;
    for (int g = 0; g < kNumKvGroups; ++g) span.tables[g] = {slots_[g].data(), 0, static_cast<int32_t>(slots_[g].size())};
    b.spans.push_back(span);
    for (int32_t r = all_logits ? 0 : span.rows - 1; r < span.rows; ++r) b.logit_rows.push_back(r);
    length_ += span.rows;
    return model_.forward(ops_, *kv_, b);
  }

 private:
  const Model& model_;
  Ops& ops_;
  std::vector<int32_t> slots_[kNumKvGroups];
  std::unique_ptr<KvStore> kv_;
  int32_t length_ = 0;
};

}  // namespace carat::test
