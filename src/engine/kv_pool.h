#pragma once
// Who owns which slot of the KvStore: one free list for sliding and full blocks, reference counts, and prefixes kept for whoever comes next.
//
// A full block (all its positions computed) is known by the hash of everything up to its end, and blocks of equal content are one block.
// Sliding blocks behind a sequence's window are given back at once, but for the windows kept at resume points: n positions after which a sequence
// can go on, i.e. the sliding blocks that cover [n - W + 1, n). A prefix hit at n needs one, every full block of [0, n), and n to be a multiple of the
// larger block. Models without sliding layers can go on after any full block; models without full layers need the window only.
//
// What no sequence holds stays until its slots are wanted. Full blocks with no resume point behind them go first, then the least recently used
// resume point, as one; among full blocks the least recently used leaf (a block is of no use without those before it). The way stations of a long prompt,
// every 4096 tokens, count as least recently used until somebody comes by again: they never push out what others left.
//
// Not thread-safe: the engine's thread alone. Holds ids only, no memory.
#include <cstdint>
#include <span>
#include <vector>

#include "backend/kv_store.h"
#include "engine/block_table.h"
#include "engine/hash_table.h"

namespace carat {

// Blocks of a group that one sequence of `length` positions can come to hold at once, computed in chunks of at most `chunk` rows; and slots of both.
int64_t blocks_of_sequence(const KvLayout& layout, int32_t group, int32_t length, int32_t chunk);
int32_t slots_of_sequence(const KvLayout& layout, int32_t length, int32_t chunk);

class KvPool {
 public:
  KvPool(const KvLayout& layout, int32_t num_slots, bool prefix_cache = true);

  // Memory for the tables of a sequence of that length, so that growing does not allocate. Thread-safe.
  void reserve(SequenceBlocks& s, int32_t length) const;
  // Takes the longest prefix of `tokens` that is there, below `tokens.size()`; `s` must hold nothing. Returns its length, s.committed.
  int32_t match_prefix(SequenceBlocks& s, std::span<const int32_t> tokens);
  // Blocks for the rows [first_row, end), first_row = s.committed; gives back sliding blocks behind first_row's window. False, and nothing new is
  // taken, when there are not enough slots, even with all that is merely kept for later.
  bool grow(SequenceBlocks& s, int32_t first_row, int32_t end);
  // K/V of [s.committed, computed) have been written. Full blocks become reusable (and may be exchanged for equal ones: views are void),
  // resume points are made, sliding blocks behind the next row's window given back.
  void commit(SequenceBlocks& s, std::span<const int32_t> tokens, int32_t computed);
  // Gives back everything: end or preemption. What is reusable stays until it is evicted.
  void release(SequenceBlocks& s);

  // The lengths worth keeping for a prompt: those asked for and the prompt's end, each rounded down to a block.
  std::vector<int32_t> resume_points(int32_t prompt_length, std::span<const int32_t> asked) const;

  int32_t num_slots() const { return num_slots_; }
  int32_t free_slots() const { return static_cast<int32_t>(free_slots_.size()); }  // nothing in them
  int32_t available_slots() const { return num_slots_ - held_slots_; }             // free, or kept for later only
  int32_t held_slots() const { return held_slots_; }                               // of sequences
  // Slots `s` still wants, to go on to `length` positions in chunks of at most `chunk` rows.
  int32_t slots_to_reach(const SequenceBlocks& s, int32_t length, int32_t chunk) const;
  size_t num_resume_points() const { return resume_table_.size(); }
  const KvLayout& layout() const { return layout_; }

  // Counts everything anew from what the sequences hold (all that hold any) and fails with internal on a difference. For tests.
  void audit(std::span<const SequenceBlocks* const> sequences) const;

 private:
  struct Block {
    int32_t group = -1;     // -1: no such block
    int32_t sequences = 0;  // that hold it
    int32_t windows = 0;    // resume points that hold it (sliding)
    bool known = false;     // in full_table_
    int32_t parent = -1;    // the known full block before it
    int32_t children = 0;   // known full blocks after it
    int32_t resume = -1;    // the resume point at its end
    uint64_t last_use = 0;  // when the last sequence let go of it
    Hash128 key;
  };
  struct ResumePoint {
    int32_t length = 0;           // 0: no such resume point
    std::vector<int32_t> blocks;  // sliding
    int32_t node = -1;            // the full block that ends here; -1: no full layers
    Hash128 key;
    SequenceBlocks* owner = nullptr;  // of a tentative one
    int32_t older = -1, newer = -1;   // order of use
  };
  struct Leaf {
    uint64_t last_use;
    int32_t block;
  };

  bool has(int32_t group) const { return layout_.slots_per_block[group] > 0; }
  int32_t window_begin(int32_t row) const;  // first position that `row` sees in the sliding group
  const Hash128& key_at(const SequenceBlocks& s, int32_t length) const { return s.chain[static_cast<size_t>(length / kHashStep - 1)]; }
  void extend_chain(SequenceBlocks& s, std::span<const int32_t> tokens, int32_t length) const;

  int32_t allocate(int32_t group);
  void free_block(int32_t id);
  void hold(int32_t id);
  void let_go(int32_t id);
  void append(BlockTable& table, int32_t id);
  void drop_front(BlockTable& table, int32_t new_first);

  void publish(SequenceBlocks& s, int32_t index);
  // What becomes of a resume point: the sequence's next one replaces it; it stays until it is the least recently used; or it is the first to go.
  enum class Keep { tentative, lasting, while_there_is_room };
  void keep_window(SequenceBlocks& s, int32_t length, Keep keep);
  void drop_tentative(SequenceBlocks& s);
  void disown(ResumePoint& r);
  void touch(int32_t resume);
  void link_newest(int32_t resume);
  void link_oldest(int32_t resume);
  void unlink(int32_t resume);
  void remove_resume(int32_t resume);

  void make_room(int32_t slots);
  bool evict_one();
  bool is_leaf(const Block& b) const { return b.known && b.sequences == 0 && b.children == 0 && b.resume < 0; }
  void note_leaf(int32_t id);

  static constexpr int32_t kHashStep = 32;
  static constexpr int32_t kResumeEvery = 4096;

  KvLayout layout_;
  int32_t num_slots_;
  bool prefix_cache_;
  int32_t step_;    // resume points lie at multiples of this: the larger block
  int32_t stride_;  // slots kept a block in block_slots_
  int32_t held_slots_ = 0;
  uint64_t clock_ = 0;
  Hash128 secret_;  // of this process: nobody can make keys collide
  std::vector<int32_t> free_slots_;
  std::vector<int32_t> free_blocks_;
  std::vector<Block> blocks_;
  std::vector<int32_t> block_slots_;  // [block][stride_]
  HashTable full_table_;
  HashTable resume_table_;
  std::vector<ResumePoint> resumes_;
  std::vector<int32_t> free_resumes_;
  int32_t oldest_ = -1, newest_ = -1;
  std::vector<Leaf> leaves_;  // min-heap by last_use; entries that are no longer true are skipped
};

}  // namespace carat
