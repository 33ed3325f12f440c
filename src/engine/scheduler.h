#pragma once
// Who runs in the next step. Running sequences first, in order of arrival, those that want a single row before all; then waiting ones, in chunks.
// When slots run out the youngest running sequence gives up its own and will recompute. Not thread-safe.
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/kv_pool.h"
#include "engine/sequence.h"

namespace carat {

struct SchedulerLimits {
  int32_t max_num_seqs = 8;              // running at once
  int32_t max_num_batched_tokens = 512;  // rows a step; at least max_num_seqs
  int32_t prefill_chunk = 0;             // rows of one sequence a step; 0: no limit of its own
  int32_t max_scored_rows = 64;          // rows a step whose logits are wanted for prompt log-probabilities, at least 1

  int32_t chunk() const { return prefill_chunk > 0 && prefill_chunk < max_num_batched_tokens ? prefill_chunk : max_num_batched_tokens; }
};

// Rows [sequence->num_computed, + rows) of a sequence; the last `logit_rows` of them want logits.
struct ScheduledRows {
  Sequence* sequence = nullptr;
  int32_t rows = 0;
  int32_t logit_rows = 0;
};

class Scheduler {
 public:
  Scheduler(const SchedulerLimits& limits, KvPool& pool) : limits_(limits), pool_(pool) {}

  // Slots a sequence of this length can come to hold; a pool with fewer can never run it.
  int32_t slots_at_most(int32_t length) const { return slots_of_sequence(pool_.layout(), length, limits_.chunk()); }

  void add(Sequence* sequence);     // to the end of the waiting line
  void remove(Sequence* sequence);  // finished or cancelled: gives back its blocks
  // The next step's rows, with blocks for them. Empty only when there is nothing to run.
  const std::vector<ScheduledRows>& schedule();

  const std::vector<Sequence*>& running() const { return running_; }
  const std::deque<Sequence*>& waiting() const { return waiting_; }
  int64_t preemptions() const { return preemptions_; }
  int64_t prefix_hit_tokens() const { return prefix_hit_tokens_; }

 private:
  void schedule_running();
  void schedule_waiting();
  bool take(Sequence& sequence, int32_t row_budget, int32_t& rows);  // adds to the plan if blocks can be had
  void preempt_youngest();

  SchedulerLimits limits_;
  KvPool& pool_;
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;  // in order of arrival
  std::vector<ScheduledRows> plan_;
  int32_t rows_left_ = 0;
  int32_t scored_left_ = 0;
  int64_t preemptions_ = 0;
  int64_t prefix_hit_tokens_ = 0;
};

}  // namespace carat
