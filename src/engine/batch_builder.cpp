#include "engine/batch_builder.h"

namespace carat {

void build_batch(std::span<const ScheduledRows> plan, Batch& batch) {
  batch.token_ids.clear();
  batch.positions.clear();
  batch.spans.clear();
  batch.logit_rows.clear();
  for (const ScheduledRows& item : plan) {
    const Sequence& s = *item.sequence;
    BatchSpan span;
    span.row0 = static_cast<int32_t>(batch.token_ids.size());
    span.rows = item.rows;
    span.position0 = s.num_computed;
    for (int32_t g = 0; g < kNumKvGroups; ++g) span.tables[g] = s.blocks.tables[g].view();
    batch.spans.push_back(span);
    for (int32_t i = 0; i < item.rows; ++i) {
      batch.token_ids.push_back(s.tokens[static_cast<size_t>(s.num_computed + i)]);
      batch.positions.push_back(s.num_computed + i);
    }
    for (int32_t i = item.rows - item.logit_rows; i < item.rows; ++i) batch.logit_rows.push_back(span.row0 + i);
  }
}

}  // namespace carat
