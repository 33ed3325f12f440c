#include "engine/scheduler.h"

#include <algorithm>

#include "base/error.h"

namespace carat {

void Scheduler::add(Sequence* sequence) {
  sequence->state = SequenceState::waiting;
  waiting_.push_back(sequence);
}

void Scheduler::remove(Sequence* sequence) {
  if (sequence->state == SequenceState::running) {
    running_.erase(std::find(running_.begin(), running_.end(), sequence));
    pool_.release(sequence->blocks);
  } else if (sequence->state == SequenceState::waiting) {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), sequence));
  }
  sequence->state = SequenceState::finished;
}

void Scheduler::preempt_youngest() {
  Sequence* victim = running_.back();
  running_.pop_back();
  pool_.release(victim->blocks);
  victim->num_computed = 0;
  victim->state = SequenceState::waiting;
  waiting_.push_front(victim);  // it came before all that wait
  ++preemptions_;
}

bool Scheduler::take(Sequence& s, int32_t row_budget, int32_t& rows) {
  rows = std::min({s.length() - s.num_computed, row_budget, limits_.chunk()});
  int32_t logit_rows = 0;
  if (s.wants_prompt_logprobs()) {
    const int32_t first = std::max(s.num_computed, s.prompt_rows_done);  // rows before were scored before a preemption
    rows = std::min(rows, first - s.num_computed + scored_left_);
    logit_rows = std::max(0, s.num_computed + rows - first);
  }
  if (rows <= 0) return false;
  if (!pool_.grow(s.blocks, s.num_computed, s.num_computed + rows)) return false;
  scored_left_ -= logit_rows;
  if (s.num_computed + rows == s.length()) logit_rows = std::max(logit_rows, 1);
  rows_left_ -= rows;
  plan_.push_back({&s, rows, logit_rows});
  return true;
}

void Scheduler::schedule_running() {
  // What each single row needs is set aside, whoever is older: a long prompt must not hold up running streams.
  int32_t singles = 0;
  for (const Sequence* s : running_) singles += s->length() - s->num_computed == 1;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    const bool single = s.length() - s.num_computed == 1;
    singles -= single;
    const int32_t budget = rows_left_ - singles;
    int32_t rows = 0;
    while (!take(s, budget, rows) && rows > 0) {
      // Out of slots. The older ones keep theirs: the oldest always gets on. A sequence with nobody behind it waits for its elders to end.
      if (i + 1 == running_.size()) break;
      singles -= running_.back()->length() - running_.back()->num_computed == 1;
      preempt_youngest();
    }
  }
}

void Scheduler::schedule_waiting() {
  while (!waiting_.empty() && static_cast<int32_t>(running_.size()) < limits_.max_num_seqs && rows_left_ > 0) {
    Sequence& s = *waiting_.front();
    if (s.wants_prompt_logprobs() && scored_left_ <= 0) return;
    // Rows of the prompt whose logits are still wanted have to be computed.
    const int32_t hit = s.wants_prompt_logprobs() ? 0 : pool_.match_prefix(s.blocks, s.tokens);
    // All of it must fit, with a block to spare for each that runs: else those that run would soon throw it out again.
    const KvLayout& layout = pool_.layout();
    const int32_t spare = static_cast<int32_t>(running_.size()) * (layout.slots_per_block[0] + layout.slots_per_block[1]);
    if (pool_.slots_to_reach(s.blocks, s.length(), limits_.chunk()) + spare > pool_.available_slots()) {
      pool_.release(s.blocks);
      check(!running_.empty(), "a sequence that was admitted fits when it is alone");
      return;
    }
    s.num_computed = hit;
    int32_t rows = 0;
    check(take(s, rows_left_, rows), "a sequence that fits gets its first blocks");
    waiting_.pop_front();
    running_.push_back(&s);
    s.state = SequenceState::running;
    if (!s.admitted) s.cached_tokens = hit;
    s.admitted = true;
    prefix_hit_tokens_ += hit;
  }
}

const std::vector<ScheduledRows>& Scheduler::schedule() {
  plan_.clear();
  rows_left_ = limits_.max_num_batched_tokens;
  scored_left_ = limits_.max_scored_rows;
  const int64_t before = preemptions_;
  schedule_running();
  if (preemptions_ == before) schedule_waiting();  // who was just thrown out must not come back at once
  check(!plan_.empty() || (running_.empty() && waiting_.empty()), "a step runs something while there is something to run");
  return plan_;
}

}  // namespace carat
