#pragma once
// The memory of the paged KV cache: one arena of equal slots for sliding and full layers alike. Who owns which slot is the engine's business.
//
// A block is block_positions(group) consecutive positions of a sequence. A page is one layer's K/V of one block; pages of both groups have equal bytes.
// A slot holds pages_per_slot pages. A full block takes slots_per_block(full) slots, a sliding block slots_per_block(sliding).
// Inside a page: [tile of 32 positions][kv head]{ K [head_dim][32], V [32][head_dim] }; one-tensor layers: { n [head_dim][32] }. In q8 each has its scales behind it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/batch.h"
#include "tensor/dtype.h"

namespace carat {

struct KvGroupShape {
  int32_t layers = 0;  // layers of the group that own K/V; 0: the group is empty
  int32_t num_key_value_heads = 0;
  int32_t head_dim = 0;
  bool one_tensor = false;
  int32_t window = 0;  // sliding window, 0 for the full group
};

// How both groups are cut into pages and slots.
struct KvLayout {
  KvGroupShape groups[kNumKvGroups];
  DType dtype = DType::f16;                          // f16, f32, or q8_0 for int8 with an f32 scale for every 32 dims of a position
  int32_t block_positions[kNumKvGroups] = {32, 32};  // 32 * 2^k
  int32_t slots_per_block[kNumKvGroups] = {1, 1};    // 0 for an empty group
  int64_t page_bytes = 0;                            // multiple of 64
  int32_t pages_per_slot = 1;

  int64_t slot_bytes() const { return page_bytes * pages_per_slot; }
  int32_t max_block_positions() const { return block_positions[0] > block_positions[1] ? block_positions[0] : block_positions[1]; }
};
// Fails with unsupported for another dtype, or q8_0 with a head size that is no multiple of 32.
KvLayout make_kv_layout(const KvGroupShape& sliding, const KvGroupShape& full, DType dtype);

class KvStore {
 public:
  // Reserves num_slots slots; fails with exhausted if the memory cannot be had. Pages start as zeros and become resident when first written.
  KvStore(const KvLayout& layout, int32_t num_slots);
  ~KvStore();
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;

  const KvLayout& layout() const { return layout_; }
  int32_t num_slots() const { return num_slots_; }

  // Page of a group's layer in the block that holds `position`.
  std::byte* page(int32_t group, int32_t layer, const BlockTableView& table, int32_t position) const;
  // K (or n) and V tile of `position` for one kv head; v is null for one-tensor layers.
  struct Tiles {
    std::byte* k;
    std::byte* v;
  };
  Tiles tiles(int32_t group, int32_t layer, const BlockTableView& table, int32_t position, int32_t kv_head) const;

 private:
  KvLayout layout_;
  int32_t num_slots_;
  std::byte* arena_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace carat
