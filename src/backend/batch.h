#pragma once
// The rows of one step. A row is a token of a sequence at a position; prefill chunks and decode rows are the same thing.
#include <cstdint>
#include <vector>

namespace carat {

inline constexpr int kNumKvGroups = 2;
enum KvGroup : int32_t { kSlidingGroup = 0, kFullGroup = 1 };

// The blocks of a sequence in one group. Block b (counted from position 0) is at slots[(b - first_block) * slots_per_block ...].
struct BlockTableView {
  const int32_t* slots = nullptr;
  int32_t first_block = 0;  // earlier blocks fell behind the window and are gone
  int32_t num_blocks = 0;
};

// The rows of one sequence in this step: consecutive positions.
struct BatchSpan {
  int32_t row0 = 0;
  int32_t rows = 0;
  int32_t position0 = 0;
  BlockTableView tables[kNumKvGroups];
};

struct Batch {
  std::vector<int32_t> token_ids;   // [T]
  std::vector<int32_t> positions;   // [T]
  std::vector<BatchSpan> spans;     // cover the rows in order
  std::vector<int32_t> logit_rows;  // ascending rows whose logits are wanted
  int64_t rows() const { return static_cast<int64_t>(token_ids.size()); }
};

}  // namespace carat
