#include "engine/kv_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "base/error.h"

namespace carat {
namespace {

int32_t round_down(int32_t n, int32_t step) { return n / step * step; }
int32_t blocks_for(int32_t positions, int32_t block) { return positions / block + (positions % block != 0); }

Hash128 random_key() {
  std::random_device device;
  const auto word = [&] { return static_cast<uint64_t>(device()) << 32 | device(); };
  return {word(), word()};
}

}  // namespace

int64_t blocks_of_sequence(const KvLayout& layout, int32_t group, int32_t length, int32_t chunk) {
  if (layout.slots_per_block[group] == 0) return 0;
  const int64_t per = layout.block_positions[group];
  const int64_t blocks = (int64_t{length} + per - 1) / per;
  if (group == kFullGroup) return blocks;
  // At most W - 1 + chunk positions are alive at once; wherever they begin, they touch this many blocks.
  return std::min(blocks, (int64_t{layout.groups[group].window} - 1 + chunk + per - 2) / per + 1);
}

int32_t slots_of_sequence(const KvLayout& layout, int32_t length, int32_t chunk) {
  int64_t slots = 0;
  for (int32_t g = 0; g < kNumKvGroups; ++g) slots += blocks_of_sequence(layout, g, length, chunk) * layout.slots_per_block[g];
  return static_cast<int32_t>(std::min<int64_t>(slots, std::numeric_limits<int32_t>::max()));
}

KvPool::KvPool(const KvLayout& layout, int32_t num_slots, bool prefix_cache)
    : layout_(layout), num_slots_(num_slots), prefix_cache_(prefix_cache), secret_(random_key()), full_table_(num_slots) {
  check(num_slots > 0, "a KV pool has at least one slot");
  check(has(kSlidingGroup) || has(kFullGroup), "a KV pool serves at least one group");
  check(layout_.slots_per_block[kFullGroup] <= 1, "a full block takes one slot");
  step_ = 1;
  for (int32_t g = 0; g < kNumKvGroups; ++g) {
    if (has(g)) step_ = std::max(step_, layout_.block_positions[g]);
  }
  stride_ = std::max(layout_.slots_per_block[0], layout_.slots_per_block[1]);
  free_slots_.resize(static_cast<size_t>(num_slots));
  free_blocks_.resize(static_cast<size_t>(num_slots));  // a block takes at least one slot
  for (int32_t i = 0; i < num_slots; ++i) free_slots_[static_cast<size_t>(i)] = free_blocks_[static_cast<size_t>(i)] = num_slots - 1 - i;
  blocks_.resize(static_cast<size_t>(num_slots));
  block_slots_.resize(static_cast<size_t>(num_slots) * static_cast<size_t>(stride_), -1);
}

int32_t KvPool::window_begin(int32_t row) const { return std::max(0, row - layout_.groups[kSlidingGroup].window + 1); }

void KvPool::extend_chain(SequenceBlocks& s, std::span<const int32_t> tokens, int32_t length) const {
  struct {
    Hash128 before;
    int32_t ids[kHashStep];
  } link;
  static_assert(sizeof link == sizeof(Hash128) + sizeof(int32_t) * kHashStep);
  for (auto i = static_cast<int32_t>(s.chain.size()); (i + 1) * kHashStep <= length; ++i) {
    link.before = i == 0 ? Hash128{s.salt, 0} : s.chain.back();
    std::memcpy(link.ids, tokens.data() + i * kHashStep, sizeof link.ids);
    s.chain.push_back(siphash128(secret_, std::as_bytes(std::span(&link, 1))));
  }
}

std::vector<int32_t> KvPool::resume_points(int32_t prompt_length, std::span<const int32_t> asked) const {
  std::vector<int32_t> points;
  for (const int32_t n : asked) points.push_back(round_down(std::clamp(n, 0, prompt_length), step_));
  points.push_back(round_down(prompt_length - 1, step_));  // one less: the same prompt again wants a row to compute
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (points.front() == 0) points.erase(points.begin());
  return points;
}

int32_t KvPool::slots_to_reach(const SequenceBlocks& s, int32_t length, int32_t chunk) const {
  int64_t slots = 0;
  for (int32_t g = 0; g < kNumKvGroups; ++g) {
    const auto held = static_cast<int64_t>(s.tables[g].blocks.size());
    slots += std::max<int64_t>(0, blocks_of_sequence(layout_, g, length, chunk) - held) * layout_.slots_per_block[g];
  }
  return static_cast<int32_t>(slots);
}

// ---- blocks

int32_t KvPool::allocate(int32_t group) {
  const int32_t id = free_blocks_.back();
  free_blocks_.pop_back();
  Block& b = blocks_[static_cast<size_t>(id)];
  b = Block{};
  b.group = group;
  int32_t* slots = block_slots_.data() + int64_t{id} * stride_;
  for (int32_t i = 0; i < layout_.slots_per_block[group]; ++i) {
    slots[i] = free_slots_.back();
    free_slots_.pop_back();
  }
  return id;
}

void KvPool::free_block(int32_t id) {
  Block& b = blocks_[static_cast<size_t>(id)];
  const int32_t* slots = block_slots_.data() + int64_t{id} * stride_;
  for (int32_t i = 0; i < layout_.slots_per_block[b.group]; ++i) free_slots_.push_back(slots[i]);
  b.group = -1;
  free_blocks_.push_back(id);
}

void KvPool::hold(int32_t id) {
  Block& b = blocks_[static_cast<size_t>(id)];
  if (b.sequences++ == 0) held_slots_ += layout_.slots_per_block[b.group];
}

void KvPool::let_go(int32_t id) {
  Block& b = blocks_[static_cast<size_t>(id)];
  if (--b.sequences > 0) return;
  held_slots_ -= layout_.slots_per_block[b.group];
  if (b.known) {
    b.last_use = ++clock_;
    if (is_leaf(b)) note_leaf(id);
  } else if (b.windows == 0) {
    free_block(id);
  }
}

void KvPool::append(BlockTable& table, int32_t id) {
  const int32_t* slots = block_slots_.data() + int64_t{id} * stride_;
  table.blocks.push_back(id);
  table.slots.insert(table.slots.end(), slots, slots + layout_.slots_per_block[blocks_[static_cast<size_t>(id)].group]);
}

void KvPool::drop_front(BlockTable& table, int32_t new_first) {
  if (new_first <= table.first_block) return;
  const auto gone = std::min<int64_t>(new_first - table.first_block, static_cast<int64_t>(table.blocks.size()));
  for (int64_t i = 0; i < gone; ++i) let_go(table.blocks[static_cast<size_t>(i)]);
  table.blocks.erase(table.blocks.begin(), table.blocks.begin() + gone);
  table.slots.erase(table.slots.begin(), table.slots.begin() + gone * layout_.slots_per_block[kSlidingGroup]);
  table.first_block = new_first;
}

// ---- sequences

void KvPool::reserve(SequenceBlocks& s, int32_t length) const {
  s.chain.reserve(static_cast<size_t>(length / kHashStep + 1));
  for (int32_t g = 0; g < kNumKvGroups; ++g) {
    const auto blocks = static_cast<size_t>(blocks_of_sequence(layout_, g, length, layout_.block_positions[g]) + 1);
    s.tables[g].blocks.reserve(blocks);
    s.tables[g].slots.reserve(blocks * static_cast<size_t>(layout_.slots_per_block[g]));
  }
}

int32_t KvPool::match_prefix(SequenceBlocks& s, std::span<const int32_t> tokens) {
  check(s.committed == 0 && s.tables[0].blocks.empty() && s.tables[1].blocks.empty(), "a prefix is matched before a sequence holds blocks");
  if (!prefix_cache_ || !s.shared || tokens.empty()) return 0;
  const int32_t longest = round_down(static_cast<int32_t>(tokens.size()) - 1, step_);
  extend_chain(s, tokens, longest);
  for (int32_t n = longest; n > 0; n -= step_) {
    const HashTable& table = has(kSlidingGroup) ? resume_table_ : full_table_;
    const int32_t found = table.find(key_at(s, n));
    if (found < 0) continue;
    int32_t node = found;
    if (has(kSlidingGroup)) {
      ResumePoint& r = resumes_[static_cast<size_t>(found)];
      check(r.length == n, "a resume point's key says its length");
      s.tables[kSlidingGroup].first_block = window_begin(n) / layout_.block_positions[kSlidingGroup];
      for (const int32_t id : r.blocks) hold(id), append(s.tables[kSlidingGroup], id);
      disown(r);  // someone counts on it now
      touch(found);
      node = r.node;
    }
    if (has(kFullGroup)) {
      BlockTable& full = s.tables[kFullGroup];
      const int32_t count = n / layout_.block_positions[kFullGroup];
      full.blocks.resize(static_cast<size_t>(count));
      for (int32_t i = count; i-- > 0; node = blocks_[static_cast<size_t>(node)].parent) {
        check(node >= 0, "a known block's ancestors are known");
        full.blocks[static_cast<size_t>(i)] = node;
      }
      std::vector<int32_t>& slots = full.slots;
      for (const int32_t id : full.blocks) hold(id), slots.push_back(block_slots_[static_cast<size_t>(id) * static_cast<size_t>(stride_)]);
    }
    return s.committed = n;
  }
  return 0;
}

bool KvPool::grow(SequenceBlocks& s, int32_t first_row, int32_t end) {
  check(first_row == s.committed && end > first_row, "a sequence grows from what is committed");
  int32_t count[kNumKvGroups] = {};
  int32_t slots = 0;
  for (int32_t g = 0; g < kNumKvGroups; ++g) {
    if (!has(g)) continue;
    if (g == kSlidingGroup) drop_front(s.tables[g], window_begin(first_row) / layout_.block_positions[g]);
    count[g] = std::max(0, blocks_for(end, layout_.block_positions[g]) - s.tables[g].end_block());
    slots += count[g] * layout_.slots_per_block[g];
  }
  if (slots > available_slots()) return false;
  make_room(slots);
  for (int32_t g = 0; g < kNumKvGroups; ++g) {
    for (int32_t i = 0; i < count[g]; ++i) {
      const int32_t id = allocate(g);
      hold(id);
      append(s.tables[g], id);
    }
  }
  return true;
}

void KvPool::commit(SequenceBlocks& s, std::span<const int32_t> tokens, int32_t computed) {
  const int32_t from = s.committed;
  check(computed >= from && computed <= static_cast<int32_t>(tokens.size()), "a sequence commits what it computed");
  s.committed = computed;
  if (prefix_cache_ && s.shared) {
    extend_chain(s, tokens, computed);
    if (has(kFullGroup)) {
      const int32_t per = layout_.block_positions[kFullGroup];
      for (int32_t i = from / per; (i + 1) * per <= computed; ++i) publish(s, i);
    }
    if (has(kSlidingGroup)) {
      for (int32_t n = round_down(from, step_) + step_; n <= computed; n += step_) {
        const bool asked = std::binary_search(s.resume_points.begin(), s.resume_points.end(), n);
        const bool station = n % std::max(step_, round_down(kResumeEvery, step_)) == 0 && n < s.prompt_length;
        if (asked || station || n + step_ > computed) {
          keep_window(s, n, asked ? Keep::lasting : station ? Keep::while_there_is_room : Keep::tentative);
        }
      }
    }
  }
  if (has(kSlidingGroup)) drop_front(s.tables[kSlidingGroup], window_begin(computed) / layout_.block_positions[kSlidingGroup]);
}

void KvPool::release(SequenceBlocks& s) {
  if (s.tentative >= 0) disown(resumes_[static_cast<size_t>(s.tentative)]);  // the sequence's end is worth keeping
  for (BlockTable& table : s.tables) {
    for (const int32_t id : table.blocks) let_go(id);
    table.clear();
  }
  s.committed = 0;
}

}  // namespace carat
