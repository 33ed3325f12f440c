#pragma once
// Which blocks of the pool a sequence holds.
#include <cstdint>
#include <vector>

#include "backend/batch.h"
#include "base/hash.h"

namespace carat {

// The blocks of a sequence in one group, in order of position.
struct BlockTable {
  std::vector<int32_t> blocks;  // ids of the pool
  std::vector<int32_t> slots;   // slots_per_block of each
  int32_t first_block = 0;      // index of blocks[0] counted from position 0; earlier ones fell behind the window

  int32_t end_block() const { return first_block + static_cast<int32_t>(blocks.size()); }
  BlockTableView view() const { return {slots.data(), first_block, static_cast<int32_t>(blocks.size())}; }
  void clear() { blocks.clear(), slots.clear(), first_block = 0; }
};

// What KvPool keeps about a sequence. Its address must not change while it holds blocks; made ready by filling the first four fields.
struct SequenceBlocks {
  uint64_t salt = 0;                   // prefixes are shared only between equal salts
  bool shared = true;                  // takes hits, and leaves its blocks to others
  int32_t prompt_length = 0;           // on the way there a window is kept every 4096 tokens, while there is room
  std::vector<int32_t> resume_points;  // lengths worth keeping a window for, ascending (KvPool::resume_points)

  BlockTable tables[kNumKvGroups];
  int32_t committed = 0;       // positions whose K/V are in the blocks
  std::vector<Hash128> chain;  // [i]: of salt and token ids [0, 32 (i + 1))
  int32_t tentative = -1;      // the resume point that moves along with the sequence's end

  SequenceBlocks() = default;
  SequenceBlocks(const SequenceBlocks&) = delete;
  SequenceBlocks& operator=(const SequenceBlocks&) = delete;
};

}  // namespace carat
