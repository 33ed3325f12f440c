#include "backend/kv_store.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/error.h"

namespace carat {
namespace {

// Groups of very different widths leave part of a page unused rather than make blocks that no prefix ever fills.
constexpr int32_t kMaxBlockPositions = 4096;

// One position of one head.
int64_t kv_head_bytes(DType dtype, int32_t head_dim) {
  if (dtype == DType::q8_0) return head_dim + head_dim / 32 * int64_t{sizeof(float)};
  return int64_t{head_dim} * info(dtype).block_bytes;
}

int64_t bytes_per_position(const KvGroupShape& g, DType dtype) {
  return int64_t{g.num_key_value_heads} * (g.one_tensor ? 1 : 2) * kv_head_bytes(dtype, g.head_dim);
}

}  // namespace

KvLayout make_kv_layout(const KvGroupShape& sliding, const KvGroupShape& full, DType dtype) {
  if (dtype != DType::f16 && dtype != DType::f32 && dtype != DType::q8_0)
    fail(ErrorCode::unsupported, "kv cache type {}: not supported, use f16, q8 or f32", info(dtype).name);
  for (const KvGroupShape& g : {sliding, full})
    if (dtype == DType::q8_0 && g.layers > 0 && g.head_dim % 32 != 0)
      fail(ErrorCode::unsupported, "kv cache type q8: needs head sizes that are multiples of 32, this model has {}; use f16", g.head_dim);
  KvLayout l;
  l.groups[kSlidingGroup] = sliding;
  l.groups[kFullGroup] = full;
  l.dtype = dtype;
  int64_t page[kNumKvGroups] = {};
  int64_t largest = 0;
  for (int g = 0; g < kNumKvGroups; ++g) {
    if (l.groups[g].layers == 0) continue;
    page[g] = bytes_per_position(l.groups[g], dtype) * kNumKvGroups * 16;  // of 32 positions
    largest = std::max(largest, page[g]);
  }
  check(largest > 0, "a model has at least one layer that owns K/V");
  for (int g = 0; g < kNumKvGroups; ++g) {
    if (l.groups[g].layers == 0) {
      l.slots_per_block[g] = 0;
      continue;
    }
    while (page[g] * 2 <= largest && l.block_positions[g] < kMaxBlockPositions) page[g] *= 2, l.block_positions[g] *= 2;
  }
  l.page_bytes = (std::max(page[0], page[1]) + 63) / 64 * 64;
  const int32_t full_layers = full.layers;
  l.pages_per_slot = full_layers > 0 ? full_layers : sliding.layers;
  if (full_layers > 0) l.slots_per_block[kFullGroup] = 1;
  if (sliding.layers > 0) l.slots_per_block[kSlidingGroup] = (sliding.layers + l.pages_per_slot - 1) / l.pages_per_slot;
  return l;
}

KvStore::KvStore(const KvLayout& layout, int32_t num_slots) : layout_(layout), num_slots_(num_slots) {
  check(num_slots > 0, "a KV store has at least one slot");
  bytes_ = static_cast<size_t>(layout_.slot_bytes()) * static_cast<size_t>(num_slots);
  void* p = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) fail(ErrorCode::exhausted, "KV cache: {} bytes cannot be had; use a smaller --ctx or fewer sequences", bytes_);
  arena_ = static_cast<std::byte*>(p);
}

KvStore::~KvStore() {
  if (arena_) ::munmap(arena_, bytes_);
}

std::byte* KvStore::page(int32_t group, int32_t layer, const BlockTableView& table, int32_t position) const {
  const int32_t block = position / layout_.block_positions[group] - table.first_block;
  const int32_t slot = table.slots[block * layout_.slots_per_block[group] + layer / layout_.pages_per_slot];
  return arena_ + int64_t{slot} * layout_.slot_bytes() + (layer % layout_.pages_per_slot) * layout_.page_bytes;
}

KvStore::Tiles KvStore::tiles(int32_t group, int32_t layer, const BlockTableView& table, int32_t position, int32_t kv_head) const {
  const KvGroupShape& g = layout_.groups[group];
  const int64_t half = 32 * kv_head_bytes(layout_.dtype, g.head_dim);
  const int64_t tile_bytes = half * (g.one_tensor ? 1 : 2);
  const int32_t tile = position % layout_.block_positions[group] / 32;
  std::byte* k = page(group, layer, table, position) + (int64_t{tile} * g.num_key_value_heads + kv_head) * tile_bytes;
  return {k, g.one_tensor ? nullptr : k + half};
}

}  // namespace carat
