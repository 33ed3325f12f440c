#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "base/error.h"
#include "engine/batch_builder.h"

namespace carat {
namespace {

KvLayout small_layout() {
  KvLayout l;
  l.groups[kSlidingGroup] = {2, 1, 1, false, 64};
  l.groups[kFullGroup] = {1, 1, 1, false, 0};
  l.block_positions[kFullGroup] = 64;
  l.slots_per_block[kSlidingGroup] = 2;
  l.page_bytes = 64;
  return l;
}

// Runs sequences without a model: every row at the end of a sequence gives a token.
struct Line {
  KvPool pool;
  SchedulerLimits limits;
  Scheduler scheduler;
  std::vector<std::unique_ptr<Sequence>> all;
  std::vector<RequestId> finished;
  std::vector<int32_t> target;  // length at which each ends

  Line(int32_t slots, const SchedulerLimits& l) : pool(small_layout(), slots), limits(l), scheduler(l, pool) {}

  Sequence& add(int32_t prompt, int32_t output, int32_t prompt_logprobs = -1) {
    auto s = std::make_unique<Sequence>();
    s->id = all.size();
    for (int32_t i = 0; i < prompt; ++i) s->tokens.push_back(static_cast<int32_t>(s->id) * 1000 + i);
    s->num_prompt = prompt;
    s->request.sampling.prompt_logprobs = prompt_logprobs;
    s->blocks.prompt_length = prompt;
    s->blocks.resume_points = pool.resume_points(prompt, {});
    target.push_back(prompt + output);
    scheduler.add(s.get());
    all.push_back(std::move(s));
    return *all.back();
  }
  void audit() {
    std::vector<const SequenceBlocks*> held;
    for (const auto& s : all) held.push_back(&s->blocks);
    pool.audit(held);
  }
  // Checks a plan's promises and plays the engine's part.
  int32_t step() {
    const int64_t preempted = scheduler.preemptions();
    const std::vector<ScheduledRows> plan = scheduler.schedule();
    audit();
    int32_t rows = 0, scored = 0;
    std::vector<const Sequence*> planned;
    for (const ScheduledRows& item : plan) {
      const Sequence& s = *item.sequence;
      EXPECT_EQ(s.state, SequenceState::running);
      EXPECT_EQ(std::count(planned.begin(), planned.end(), &s), 0) << "a sequence is planned once";
      planned.push_back(&s);
      EXPECT_GE(item.rows, 1);
      EXPECT_LE(item.rows, limits.chunk());
      EXPECT_LE(s.num_computed + item.rows, s.length());
      if (s.num_computed + item.rows == s.length()) {
        EXPECT_GE(item.logit_rows, 1);
      }
      if (s.wants_prompt_logprobs()) {
        const int32_t wanted = s.num_computed + item.rows - std::max(s.num_computed, s.prompt_rows_done);
        EXPECT_EQ(item.logit_rows, std::max(0, wanted));
        scored += item.logit_rows;
      } else {
        EXPECT_LE(item.logit_rows, 1);
      }
      for (int32_t g = 0; g < kNumKvGroups; ++g) {
        const BlockTable& t = s.blocks.tables[g];
        const int32_t per = pool.layout().block_positions[g];
        EXPECT_GE(t.end_block() * per, s.num_computed + item.rows) << "there is a block for every row";
        const int32_t window = g == kSlidingGroup ? std::max(0, s.num_computed - 63) : 0;
        EXPECT_LE(t.first_block * per, window) << "the first row's window is there";
      }
      rows += item.rows;
    }
    EXPECT_LE(rows, limits.max_num_batched_tokens);
    EXPECT_LE(scored, limits.max_scored_rows);
    EXPECT_LE(static_cast<int32_t>(scheduler.running().size()), limits.max_num_seqs);
    EXPECT_TRUE(std::is_sorted(scheduler.running().begin(), scheduler.running().end(), [](auto* a, auto* b) { return a->id < b->id; }));
    EXPECT_TRUE(std::is_sorted(scheduler.waiting().begin(), scheduler.waiting().end(), [](auto* a, auto* b) { return a->id < b->id; }));
    EXPECT_TRUE(plan.empty() || plan.front().sequence == scheduler.running().front()) << "the oldest always gets on";
    if (scheduler.preemptions() == preempted && pool.available_slots() > 8) {
      for (const Sequence* s : scheduler.running()) {
        if (s->length() - s->num_computed == 1) {
          EXPECT_EQ(std::count(planned.begin(), planned.end(), s), 1) << "a single row is never held up";
        }
      }
    }
    for (const ScheduledRows& item : plan) {
      Sequence& s = *item.sequence;
      pool.commit(s.blocks, s.tokens, s.num_computed + item.rows);
      const int32_t end = s.num_computed + item.rows;
      if (s.wants_prompt_logprobs()) s.prompt_rows_done += std::min(item.logit_rows, s.num_prompt - s.prompt_rows_done);
      s.num_computed = end;
      if (end < s.length()) continue;
      if (s.length() == target[s.id]) {
        scheduler.remove(&s);
        finished.push_back(s.id);
      } else {
        s.tokens.push_back(7);
      }
    }
    audit();
    return rows;
  }
};

TEST(Scheduler, AllEndWhateverTheLoadAndTheSlots) {
  int64_t preemptions = 0;
  for (uint32_t round = 0; round < 60; ++round) {
    std::mt19937 random(round);
    const auto pick = [&](int n) { return static_cast<int32_t>(random() % static_cast<uint32_t>(n)); };
    SchedulerLimits limits;
    limits.max_num_seqs = 1 + pick(6);
    limits.max_num_batched_tokens = limits.max_num_seqs + pick(200);
    limits.prefill_chunk = pick(2) ? 1 + pick(100) : 0;
    limits.max_scored_rows = 1 + pick(40);
    const KvLayout layout = small_layout();
    Line line(slots_of_sequence(layout, 400, limits.chunk()) + pick(20), limits);
    int32_t submitted = 0;
    for (int steps = 0; line.finished.size() < 25; ++steps) {
      ASSERT_LT(steps, 100000) << "round " << round;
      if (submitted < 25 && pick(3) == 0) {
        const int32_t prompt = 1 + pick(200);
        line.add(prompt, pick(200), pick(4) == 0 ? 0 : -1);
        ++submitted;
      }
      if (submitted > 0 && pick(60) == 0) {  // somebody goes away
        Sequence& s = *line.all[static_cast<size_t>(pick(submitted))];
        if (s.state != SequenceState::finished) {
          line.scheduler.remove(&s);
          line.finished.push_back(s.id);
        }
      }
      line.step();
      ASSERT_FALSE(HasFailure()) << "round " << round << " step " << steps;
    }
    EXPECT_EQ(line.pool.held_slots(), 0);
    EXPECT_EQ(line.step(), 0);
    preemptions += line.scheduler.preemptions();
  }
  EXPECT_GT(preemptions, 50);
}

TEST(Scheduler, RunningStreamsGoOnBesideALongPrompt) {
  SchedulerLimits limits;
  limits.max_num_batched_tokens = 16;
  Line line(2000, limits);
  line.add(3, 100);
  line.add(500, 10);
  line.step();
  EXPECT_EQ(line.all[0]->num_computed, 3);
  EXPECT_EQ(line.all[1]->num_computed, 13);
  line.add(4, 50);
  line.step();
  EXPECT_EQ(line.all[0]->num_computed, 4);
  EXPECT_EQ(line.all[1]->num_computed, 28);
  EXPECT_EQ(line.all[2]->state, SequenceState::waiting);
}

TEST(Scheduler, AnOlderPromptLeavesTheYoungerStreamItsRow) {
  SchedulerLimits limits;
  limits.max_num_batched_tokens = 16;
  limits.prefill_chunk = 8;
  Line line(2000, limits);
  line.add(500, 10);
  line.add(8, 100);
  line.step();  // both get 8
  for (int i = 0; i < 20; ++i) line.step();
  EXPECT_EQ(line.all[1]->length(), 8 + 21);
  EXPECT_EQ(line.all[0]->num_computed, 8 * 21);
}

TEST(Scheduler, AnOlderPromptThatBecomesHungrierLeavesItToo) {
  SchedulerLimits limits;
  limits.max_num_batched_tokens = 11;
  limits.max_scored_rows = 10;
  Line line(2000, limits);
  line.add(4, 100, 0);
  line.add(100, 10, 0);
  line.add(1, 100);
  line.step();
  EXPECT_EQ(line.all[1]->num_computed, 6);
  EXPECT_EQ(line.all[2]->num_computed, 1);
  line.step();  // the second could score ten rows now
  EXPECT_EQ(line.all[1]->num_computed, 6 + 9);
  EXPECT_EQ(line.all[2]->num_computed, 2);
}

TEST(Scheduler, APromptIsScoredOnceThoughPreempted) {
  SchedulerLimits limits;
  limits.max_num_batched_tokens = 24;
  limits.prefill_chunk = 4;
  Line line(slots_of_sequence(small_layout(), 300, 4) + 30, limits);
  for (int i = 0; i < 5; ++i) line.add(10, 280);
  Sequence& scored = line.add(290, 5, 0);
  int32_t before = 0;
  for (int i = 0; i < 200 && line.scheduler.preemptions() == 0; ++i) {
    before = scored.prompt_rows_done;
    line.step();
  }
  ASSERT_EQ(scored.state, SequenceState::waiting);
  ASSERT_GT(before, 50);
  ASSERT_LT(before, 290);
  while (line.finished.size() < 6) line.step();  // step() checks which rows want logits
  EXPECT_EQ(scored.prompt_rows_done, 290);
}

TEST(Scheduler, TheYoungestGivesUpItsSlotsAndComesBackFirst) {
  SchedulerLimits limits;
  limits.max_num_batched_tokens = 128;
  Line line(slots_of_sequence(small_layout(), 512, 128), limits);
  Sequence& a = line.add(100, 400);
  Sequence& b = line.add(100, 400);
  line.step();
  line.step();
  EXPECT_EQ(b.state, SequenceState::running);
  Sequence& c = line.add(100, 1);
  for (int i = 0; i < 500 && line.scheduler.preemptions() == 0; ++i) line.step();
  EXPECT_EQ(a.state, SequenceState::running);
  EXPECT_EQ(b.state, SequenceState::waiting);
  EXPECT_EQ(b.num_computed, 0);
  EXPECT_EQ(line.scheduler.waiting().front(), &b);
  EXPECT_EQ(c.state, SequenceState::waiting);
  while (line.finished.size() < 3) line.step();
  EXPECT_EQ(line.finished[0], a.id);
}

TEST(Scheduler, PromptsToScoreAreCutToTheirRows) {
  SchedulerLimits limits;
  limits.max_scored_rows = 10;
  Line line(2000, limits);
  Sequence& a = line.add(35, 5, 0);
  Sequence& b = line.add(20, 5, 0);
  Sequence& c = line.add(20, 5);
  line.step();
  EXPECT_EQ(a.num_computed, 10);
  EXPECT_EQ(b.num_computed, 0);
  EXPECT_EQ(c.num_computed, 0);  // it came after one that waits
  while (line.finished.size() < 3) line.step();
}

TEST(BatchBuilder, LaysRowsOutInOrder) {
  SchedulerLimits limits;
  Line line(2000, limits);
  line.add(5, 10);
  line.add(3, 10);
  line.step();
  line.step();
  line.add(4, 10, 0);
  const std::vector<ScheduledRows> plan = line.scheduler.schedule();
  Batch batch;
  build_batch(plan, batch);
  ASSERT_EQ(batch.spans.size(), 3u);
  EXPECT_EQ(batch.token_ids, (std::vector<int32_t>{7, 7, 2000, 2001, 2002, 2003}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{6, 4, 0, 1, 2, 3}));
  EXPECT_EQ(batch.logit_rows, (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(batch.spans[1].row0, 1);
  EXPECT_EQ(batch.spans[1].rows, 1);
  EXPECT_EQ(batch.spans[1].position0, 4);
  EXPECT_EQ(batch.spans[2].row0, 2);
  EXPECT_EQ(batch.spans[2].rows, 4);
  for (int32_t g = 0; g < kNumKvGroups; ++g) {
    EXPECT_EQ(batch.spans[1].tables[g].slots, line.all[1]->blocks.tables[g].slots.data());
    EXPECT_EQ(batch.spans[1].tables[g].num_blocks, 1);
  }
}

}  // namespace
}  // namespace carat
