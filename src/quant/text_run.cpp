#include "quant/text_run.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace carat::quant {

std::vector<std::vector<int32_t>> windows_of(std::span<const int32_t> ids, int32_t bos) {
  std::vector<std::vector<int32_t>> windows;
  const size_t room = static_cast<size_t>(kWindow) - (bos >= 0 ? 1 : 0);
  for (size_t at = 0; at < ids.size(); at += room) {
    std::vector<int32_t> window;
    if (bos >= 0) window.push_back(bos);
    const auto part = ids.subspan(at, std::min(room, ids.size() - at));
    window.insert(window.end(), part.begin(), part.end());
    if (window.size() > 1) windows.push_back(std::move(window));
  }
  return windows;
}

TextRun::TextRun(const Model& model, Ops& ops) : model_(model), ops_(ops) {
  const KvLayout layout = model.kv_layout(DType::f32);
  int32_t next = 0;
  for (int g = 0; g < kNumKvGroups; ++g) {
    const int32_t blocks = layout.slots_per_block[g] == 0 ? 0 : (kWindow + layout.block_positions[g] - 1) / layout.block_positions[g];
    slots_[g].resize(static_cast<size_t>(blocks * layout.slots_per_block[g]));
    for (int32_t& s : slots_[g]) s = next++;
  }
  kv_ = ops.make_kv_store(layout, next);
}

void TextRun::run(const std::vector<int32_t>& window, int32_t step, const std::function<void(int32_t row, Tensor logits)>& on_logits) {
  const auto n = static_cast<int32_t>(window.size());
  check(n <= kWindow, "a window fits the cache");
  const KvLayout& layout = kv_->layout();
  for (int32_t first = 0; first < n; first += step) {
    const int32_t rows = std::min(step, n - first);
    Batch batch;
    batch.token_ids.assign(window.begin() + first, window.begin() + first + rows);
    batch.positions.resize(static_cast<size_t>(rows));
    std::iota(batch.positions.begin(), batch.positions.end(), first);
    BatchSpan span;
    span.rows = rows, span.position0 = first;
    for (int g = 0; g < kNumKvGroups; ++g)
      if (layout.slots_per_block[g] > 0) span.tables[g] = {slots_[g].data(), 0, static_cast<int32_t>(slots_[g].size()) / layout.slots_per_block[g]};
    batch.spans.push_back(span);
    batch.logit_rows.resize(static_cast<size_t>(rows));
    std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
    on_logits(first, model_.forward(ops_, *kv_, batch));
  }
}

}  // namespace carat::quant
