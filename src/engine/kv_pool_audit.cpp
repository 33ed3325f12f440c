// KvPool's books, counted anew.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "engine/kv_pool.h"

namespace carat {

void KvPool::audit(std::span<const SequenceBlocks* const> sequences) const {
  std::vector<int32_t> held(blocks_.size()), windows(blocks_.size()), children(blocks_.size());
  for (const SequenceBlocks* s : sequences) {
    for (int32_t g = 0; g < kNumKvGroups; ++g) {
      const BlockTable& t = s->tables[g];
      const int32_t per = layout_.slots_per_block[g];
      check(t.slots.size() == t.blocks.size() * static_cast<size_t>(per), "audit: a table's slots fit its blocks");
      for (size_t i = 0; i < t.blocks.size(); ++i) {
        const auto id = static_cast<size_t>(t.blocks[i]);
        check(blocks_[id].group == g, "audit: a table's blocks are of its group");
        ++held[id];
        for (int32_t j = 0; j < per; ++j) {
          check(t.slots[i * static_cast<size_t>(per) + static_cast<size_t>(j)] == block_slots_[id * static_cast<size_t>(stride_) + static_cast<size_t>(j)],
                "audit: a table's slots are its blocks'");
        }
      }
      // Positions not yet committed are written: nobody else may hold their blocks.
      for (int32_t i = s->committed / layout_.block_positions[g]; i < t.end_block(); ++i) {
        if (i < t.first_block) continue;
        const Block& b = blocks_[static_cast<size_t>(t.blocks[static_cast<size_t>(i - t.first_block)])];
        check(b.sequences == 1 && b.windows == 0 && !b.known, "audit: a block that is being written has one holder");
      }
    }
    if (s->tentative >= 0) check(resumes_[static_cast<size_t>(s->tentative)].owner == s, "audit: a tentative resume point knows its owner");
  }
  size_t resumes = 0;
  for (size_t i = 0; i < resumes_.size(); ++i) {
    const ResumePoint& r = resumes_[i];
    if (r.length == 0) continue;
    ++resumes;
    check(resume_table_.find(r.key) == static_cast<int32_t>(i), "audit: a resume point is found by its key");
    check(r.length % step_ == 0, "audit: a resume point lies at a block's border");
    for (const int32_t id : r.blocks) {
      check(blocks_[static_cast<size_t>(id)].group == kSlidingGroup, "audit: a window is of sliding blocks");
      ++windows[static_cast<size_t>(id)];
    }
    if (has(kFullGroup))
      check(blocks_[static_cast<size_t>(r.node)].known && blocks_[static_cast<size_t>(r.node)].resume == static_cast<int32_t>(i),
            "audit: a resume point's node is known");
    if (r.owner) check(r.owner->tentative == static_cast<int32_t>(i), "audit: an owner knows its tentative resume point");
  }
  check(resumes == resume_table_.size(), "audit: as many resume points as keys");
  size_t listed = 0;
  for (int32_t r = oldest_; r >= 0; r = resumes_[static_cast<size_t>(r)].newer) ++listed;
  check(listed == resumes, "audit: every resume point is in the order of use");

  std::vector<int32_t> owners(static_cast<size_t>(num_slots_));
  for (const int32_t slot : free_slots_) ++owners[static_cast<size_t>(slot)];
  size_t live = 0, known = 0;
  int32_t held_slots = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& b = blocks_[i];
    if (b.group < 0) continue;
    ++live;
    for (int32_t j = 0; j < layout_.slots_per_block[b.group]; ++j)
      ++owners[static_cast<size_t>(block_slots_[i * static_cast<size_t>(stride_) + static_cast<size_t>(j)])];
    check(b.sequences == held[i] && b.windows == windows[i], "audit: reference counts are right");
    check(b.sequences > 0 || b.windows > 0 || b.known, "audit: a block that nobody wants is free");
    if (b.sequences > 0) held_slots += layout_.slots_per_block[b.group];
    if (b.known) {
      ++known;
      check(b.group == kFullGroup && full_table_.find(b.key) == static_cast<int32_t>(i), "audit: a known block is found by its key");
      if (b.parent >= 0) {
        const Block& parent = blocks_[static_cast<size_t>(b.parent)];
        check(parent.known && (b.sequences == 0 || parent.sequences > 0), "audit: a known block's parent is known, and held if it is");
        ++children[static_cast<size_t>(b.parent)];
      }
      if (is_leaf(b)) {
        check(std::any_of(leaves_.begin(), leaves_.end(), [&](const Leaf& l) { return l.block == static_cast<int32_t>(i) && l.last_use == b.last_use; }),
              "audit: a leaf can be evicted");
      }
    }
  }
  for (size_t i = 0; i < blocks_.size(); ++i) check(blocks_[i].group < 0 || blocks_[i].children == children[i], "audit: children are counted");
  check(known == full_table_.size(), "audit: as many known blocks as keys");
  check(live + free_blocks_.size() == blocks_.size(), "audit: no block is lost");
  check(held_slots == held_slots_, "audit: held slots are counted");
  for (const int32_t n : owners) check(n == 1, "audit: every slot has one owner");
}

}  // namespace carat
