// The part of KvPool that keeps what no sequence holds: known full blocks, resume points, and who goes first when slots are wanted.
#include <algorithm>

#include "base/error.h"
#include "engine/kv_pool.h"

namespace carat {

// Block `index` of the full table is complete. Equal content is kept once: the bits are the same, whoever computed them.
void KvPool::publish(SequenceBlocks& s, int32_t index) {
  BlockTable& table = s.tables[kFullGroup];
  int32_t& id = table.blocks[static_cast<size_t>(index)];
  const Hash128 key = key_at(s, (index + 1) * layout_.block_positions[kFullGroup]);
  const int32_t twin = full_table_.find(key);
  if (twin == id) return;
  if (twin >= 0) {
    hold(twin);
    let_go(id);
    id = twin;
    table.slots[static_cast<size_t>(index)] = block_slots_[static_cast<size_t>(twin) * static_cast<size_t>(stride_)];
    return;
  }
  Block& b = blocks_[static_cast<size_t>(id)];
  b.known = true;
  b.key = key;
  b.parent = index > 0 ? table.blocks[static_cast<size_t>(index) - 1] : -1;
  if (b.parent >= 0) ++blocks_[static_cast<size_t>(b.parent)].children;
  full_table_.insert(key, id);
}

// Makes (or finds) the resume point at `length` of a sequence that still has the window. It replaces the one that moved along so far.
void KvPool::keep_window(SequenceBlocks& s, int32_t length, Keep keep) {
  const Hash128 key = key_at(s, length);
  int32_t found = resume_table_.find(key);
  if (found < 0) {
    if (free_resumes_.empty()) {
      found = static_cast<int32_t>(resumes_.size());
      resumes_.emplace_back();
    } else {
      found = free_resumes_.back();
      free_resumes_.pop_back();
    }
    ResumePoint& r = resumes_[static_cast<size_t>(found)];
    const BlockTable& table = s.tables[kSlidingGroup];
    const int32_t per = layout_.block_positions[kSlidingGroup];
    const int32_t begin = window_begin(length) / per - table.first_block;
    const int32_t end = length / per - table.first_block;
    check(begin >= 0 && end <= static_cast<int32_t>(table.blocks.size()), "a resume point is made while the window is there");
    r.blocks.assign(table.blocks.begin() + begin, table.blocks.begin() + std::max(begin, end));
    for (const int32_t id : r.blocks) ++blocks_[static_cast<size_t>(id)].windows;
    r.length = length;
    r.key = key;
    r.node = -1;
    r.owner = nullptr;
    if (has(kFullGroup)) {
      r.node = s.tables[kFullGroup].blocks[static_cast<size_t>(length / layout_.block_positions[kFullGroup] - 1)];
      blocks_[static_cast<size_t>(r.node)].resume = found;
    }
    resume_table_.insert(key, found);
    keep == Keep::while_there_is_room ? link_oldest(found) : link_newest(found);
    drop_tentative(s);
    if (keep == Keep::tentative) r.owner = &s, s.tentative = found;
    return;
  }
  touch(found);
  if (found == s.tentative && keep == Keep::tentative) return;
  disown(resumes_[static_cast<size_t>(found)]);  // two sequences came by here
  drop_tentative(s);
}

void KvPool::drop_tentative(SequenceBlocks& s) {
  if (s.tentative >= 0) remove_resume(s.tentative);
}

void KvPool::disown(ResumePoint& r) {
  if (r.owner) r.owner->tentative = -1;
  r.owner = nullptr;
}

void KvPool::unlink(int32_t resume) {
  ResumePoint& r = resumes_[static_cast<size_t>(resume)];
  (r.older >= 0 ? resumes_[static_cast<size_t>(r.older)].newer : oldest_) = r.newer;
  (r.newer >= 0 ? resumes_[static_cast<size_t>(r.newer)].older : newest_) = r.older;
  r.older = r.newer = -1;
}

void KvPool::link_newest(int32_t resume) {
  resumes_[static_cast<size_t>(resume)].older = newest_;
  (newest_ >= 0 ? resumes_[static_cast<size_t>(newest_)].newer : oldest_) = resume;
  newest_ = resume;
}

void KvPool::link_oldest(int32_t resume) {
  resumes_[static_cast<size_t>(resume)].newer = oldest_;
  (oldest_ >= 0 ? resumes_[static_cast<size_t>(oldest_)].older : newest_) = resume;
  oldest_ = resume;
}

void KvPool::touch(int32_t resume) {
  unlink(resume);
  link_newest(resume);
}

void KvPool::remove_resume(int32_t resume) {
  ResumePoint& r = resumes_[static_cast<size_t>(resume)];
  disown(r);
  unlink(resume);
  resume_table_.erase(r.key);
  for (const int32_t id : r.blocks) {
    Block& b = blocks_[static_cast<size_t>(id)];
    if (--b.windows == 0 && b.sequences == 0) free_block(id);
  }
  r.blocks.clear();
  r.length = 0;
  free_resumes_.push_back(resume);
  if (r.node >= 0) {
    Block& node = blocks_[static_cast<size_t>(r.node)];
    node.resume = -1;
    if (is_leaf(node)) note_leaf(r.node);
  }
}

// ---- eviction

void KvPool::note_leaf(int32_t id) {
  const auto later = [](const Leaf& a, const Leaf& b) { return a.last_use > b.last_use; };
  if (leaves_.size() > 2 * blocks_.size() + 64) {  // mostly entries that are no longer true
    leaves_.clear();
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (is_leaf(blocks_[i])) leaves_.push_back({blocks_[i].last_use, static_cast<int32_t>(i)});
    }
    std::make_heap(leaves_.begin(), leaves_.end(), later);
    return;
  }
  leaves_.push_back({blocks_[static_cast<size_t>(id)].last_use, id});
  std::push_heap(leaves_.begin(), leaves_.end(), later);
}

bool KvPool::evict_one() {
  const auto later = [](const Leaf& a, const Leaf& b) { return a.last_use > b.last_use; };
  while (!leaves_.empty()) {
    std::pop_heap(leaves_.begin(), leaves_.end(), later);
    const Leaf leaf = leaves_.back();
    leaves_.pop_back();
    Block& b = blocks_[static_cast<size_t>(leaf.block)];
    if (b.group < 0 || !is_leaf(b) || b.last_use != leaf.last_use) continue;
    full_table_.erase(b.key);
    const int32_t parent = b.parent;
    b.known = false;
    free_block(leaf.block);
    if (parent >= 0) {
      --blocks_[static_cast<size_t>(parent)].children;
      if (is_leaf(blocks_[static_cast<size_t>(parent)])) note_leaf(parent);
    }
    return true;
  }
  if (oldest_ < 0) return false;
  remove_resume(oldest_);
  return true;
}

void KvPool::make_room(int32_t slots) {
  while (free_slots() < slots) check(evict_one(), "slots that no sequence holds can be had");
}

}  // namespace carat
