#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace carat {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kSlot = 192 * 1024;

// Gemma 4 E2B's cache: 12 sliding and 3 full layers, 64 KiB pages.
MemoryQuestion question_of(uint64_t available) {
  MemoryQuestion q;
  q.layout = make_kv_layout({12, 1, 256, false, 512}, {3, 1, 512, false, 0}, DType::f16);
  q.max_positions = 131072;
  q.weights = 3000 * kMiB;
  q.activations = 100 * kMiB;
  q.tables_per_tile = 1536;
  q.program = 50 * kMiB;
  q.available = available;
  return q;
}
constexpr uint64_t kOthers = 3150 * kMiB;  // weights, activations and program

MemoryQuestion in_type(MemoryQuestion q, DType dtype) {
  q.layout = make_kv_layout(q.layout.groups[0], q.layout.groups[1], dtype);
  return q;
}

std::string refusal(const MemoryQuestion& q, const EngineOptions& o, ErrorCode code) {
  try {
    plan_memory(q, o);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code);
    return e.what();
  }
  return "";
}

// The number after `option` in an advice; -1: it is not named.
int advised(const std::string& text, const std::string& option) {
  const size_t at = text.find(option + " ");
  return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + option.size() + 1);
}

TEST(MemoryPlan, TheLayoutIsTheArchitectures) {
  const KvLayout l = question_of(0).layout;
  EXPECT_EQ(l.page_bytes, 64 * 1024);
  EXPECT_EQ(l.block_positions[kSlidingGroup], 64);
  EXPECT_EQ(l.block_positions[kFullGroup], 32);
  EXPECT_EQ(l.slots_per_block[kSlidingGroup], 4);
}

TEST(MemoryPlan, ZeroMeansTheMostThatFits) {
  EngineOptions o;
  const MemoryPlan rich = plan_memory(question_of(64000 * kMiB), o);
  EXPECT_EQ(rich.ctx, 131072);
  EXPECT_EQ(rich.slots_per_sequence, 4096 + 4 * 17);
  // A step's chunk is in one sequence at a time: the others hold their window only.
  EXPECT_EQ(rich.num_slots, rich.slots_per_sequence + 7 * (4096 + 4 * 9));
  EXPECT_EQ(rich.kv, static_cast<uint64_t>(rich.num_slots) * kSlot);
  EXPECT_EQ(rich.kv_bytes_per_token, 3u * 2 * 512 * 2);
  EXPECT_EQ(rich.kv_window, 9 * 4 * kSlot);
  int32_t last = 0;
  for (const uint64_t mib : {50, 100, 250, 700, 780}) {
    const MemoryQuestion q = question_of(kOthers + mib * kMiB);
    const MemoryPlan plan = plan_memory(q, o);
    EXPECT_GT(plan.ctx, last);
    EXPECT_TRUE(plan.fits());
    EXPECT_LE(slots_of_sequence(q.layout, plan.ctx, 512), plan.num_slots);
    EngineOptions longer = o;
    longer.ctx = std::min(plan.ctx + 64, q.max_positions);
    EXPECT_FALSE(refusal(q, longer, ErrorCode::exhausted).empty()) << "a longer context would have fitted";
    last = plan.ctx;
  }
}

TEST(MemoryPlan, AForecastCountsEverySequence) {
  EngineOptions o;
  o.ctx = 2048;
  const MemoryQuestion q = question_of(kOthers + 160 * kMiB);
  const MemoryPlan all = foretell_memory(q, o);
  EXPECT_EQ(all.num_slots, 64 + 4 * 17 + 7 * (64 + 4 * 9));
  EXPECT_EQ(all.total(), kOthers + 64 * 1536 + static_cast<uint64_t>(all.num_slots) * kSlot);
  EXPECT_TRUE(all.fits());
  EXPECT_EQ(all.num_slots, plan_memory(q, o).num_slots);
  o.max_num_seqs = 16;
  const MemoryPlan more = foretell_memory(q, o);
  EXPECT_FALSE(more.fits());
  EXPECT_LT(more.max_ctx, 2048);
  EngineOptions less = o;
  less.ctx = more.max_ctx;
  EXPECT_TRUE(foretell_memory(q, less).fits());
  less.ctx += 64;
  EXPECT_FALSE(foretell_memory(q, less).fits());
  // An engine takes them all the same: they share what there is.
  const MemoryPlan shared = plan_memory(q, o);
  EXPECT_TRUE(shared.fits());
  EXPECT_LT(shared.num_slots, more.num_slots);
}

TEST(MemoryPlan, EveryAdviceWouldFit) {
  int each[4] = {};
  for (const DType dtype : {DType::f32, DType::f16, DType::q8_0})
    for (const int32_t sequences : {1, 3, 8})
      for (const int32_t ctx : {64, 2048, 32768, 131072})
        for (const uint64_t mib : {2, 12, 40, 160, 700, 3000}) {
          const MemoryQuestion q = in_type(question_of(kOthers + mib * kMiB), dtype);
          EngineOptions o;
          o.ctx = ctx, o.max_num_seqs = sequences;
          if (foretell_memory(q, o).fits()) continue;
          const std::string advice = memory_advice(q, o, sequences);
          SCOPED_TRACE(advice);
          MemoryQuestion other = q;
          const bool q8 = advice.find("--kv q8") != std::string::npos, f16 = advice.find("--kv f16") != std::string::npos;
          if (q8) other = in_type(q, DType::q8_0), ++each[0];
          if (f16) other = in_type(q, DType::f16), ++each[0];
          const int shorter = advised(advice, "--ctx"), fewer = advised(advice, "--parallel");
          EngineOptions changed = o;
          if (advice.find("with --ctx") != std::string::npos) {
            changed.ctx = shorter;
            EXPECT_TRUE(foretell_memory(other, changed).fits());
            ++each[1];
            continue;
          }
          if (q8 || f16) {
            EXPECT_TRUE(foretell_memory(other, o).fits());
          }
          if (shorter > 0) {
            changed.ctx = shorter, ++each[2];
            EXPECT_TRUE(foretell_memory(q, changed).fits());
            EXPECT_LT(shorter, ctx);
          }
          if (fewer > 0) {
            changed = o;
            changed.max_num_seqs = fewer, ++each[3];
            EXPECT_TRUE(foretell_memory(q, changed).fits());
            ++changed.max_num_seqs;
            EXPECT_FALSE(foretell_memory(q, changed).fits()) << "one more would have fitted";
          }
          EXPECT_TRUE(q8 || f16 || shorter > 0 || fewer > 0 || advice.find("smaller quantisation") != std::string::npos);
        }
  for (const int n : each) EXPECT_GT(n, 0) << "every kind of advice was given";
}

TEST(MemoryPlan, SaysWhatItNeedsWhatThereIsAndWhatWouldFit) {
  EngineOptions o;
  o.ctx = 32768;
  const MemoryQuestion q = question_of(kOthers + 150 * kMiB);
  const std::string message = refusal(q, o, ErrorCode::exhausted);
  EXPECT_NE(message.find("a context of 32768 needs"), std::string::npos) << message;
  EXPECT_NE(message.find("weights 2.93 GiB"), std::string::npos) << message;
  EXPECT_NE(message.find("there are 3.22 GiB"), std::string::npos) << message;
  EngineOptions less;
  less.ctx = advised(message, "--ctx");
  ASSERT_GT(less.ctx, 0) << message;
  EXPECT_EQ(plan_memory(q, less).ctx, less.ctx);
  o.kv_bytes = 10 * static_cast<int64_t>(kMiB);
  EXPECT_NE(refusal(question_of(64000 * kMiB), o, ErrorCode::exhausted).find("the memory allowed for it is 10.0 MiB"), std::string::npos);
}

TEST(MemoryPlan, WeightsThatDoNotFitAskForSmallerOnes) {
  const std::string message = refusal(question_of(2000 * kMiB), EngineOptions(), ErrorCode::exhausted);
  const size_t at = message.find("with at most ");
  ASSERT_NE(at, std::string::npos) << message;
  EXPECT_EQ(message.find("--ctx"), std::string::npos) << message;
  MemoryQuestion q = question_of(2000 * kMiB);
  q.weights = static_cast<uint64_t>(std::stod(message.substr(at + 13)) * 1.0e9);  // GiB, rounded down to be below what was said
  EXPECT_GT(plan_memory(q, EngineOptions()).ctx, 0);
  EXPECT_NE(refusal(question_of(100 * kMiB), EngineOptions(), ErrorCode::exhausted).find("allow more memory"), std::string::npos);
}

TEST(MemoryPlan, AStatedBudgetIsUsedUp) {
  EngineOptions o;
  o.ctx = 512;
  o.kv_bytes = 96 * static_cast<int64_t>(kMiB);
  EXPECT_EQ(plan_memory(question_of(64000 * kMiB), o).num_slots, 512);
  o.kv_bytes *= 20;
  EXPECT_EQ(plan_memory(question_of(64000 * kMiB), o).num_slots, 10240);  // all of it: what is not held keeps prefixes
  EXPECT_EQ(foretell_memory(question_of(64000 * kMiB), o).num_slots, 10240);
}

TEST(MemoryPlan, ModelsOfOneGroup) {
  MemoryQuestion q = question_of(kOthers + 1000 * kMiB);
  q.layout = make_kv_layout({12, 1, 256, false, 512}, {}, DType::f16);
  EXPECT_EQ(plan_memory(q, EngineOptions()).ctx, q.max_positions);  // a window never grows
  EXPECT_EQ(plan_memory(q, EngineOptions()).kv_bytes_per_token, 0u);
  q.layout = make_kv_layout({}, {3, 1, 512, false, 0}, DType::f32);
  const MemoryPlan plan = plan_memory(q, EngineOptions());
  EXPECT_EQ(plan.slots_per_sequence, (plan.ctx + 31) / 32);
  EXPECT_EQ(plan.kv_window, 0u);
}

TEST(MemoryPlan, OptionsOutOfRangeAreNamed) {
  const auto message = [](auto change) {
    EngineOptions o;
    change(o);
    return refusal(question_of(64000 * kMiB), o, ErrorCode::invalid_argument);
  };
  EXPECT_EQ(message([](EngineOptions& o) { o.max_num_seqs = 0; }).rfind("max_num_seqs:", 0), 0u);
  EXPECT_EQ(message([](EngineOptions& o) { o.max_num_batched_tokens = 7; }).rfind("max_num_batched_tokens:", 0), 0u);
  EXPECT_EQ(message([](EngineOptions& o) { o.prefill_chunk = -1; }).rfind("prefill_chunk:", 0), 0u);
  EXPECT_EQ(message([](EngineOptions& o) { o.ctx = 131073; }).rfind("ctx:", 0), 0u);
  EXPECT_EQ(message([](EngineOptions& o) { o.kv_bytes = -1; }).rfind("kv_bytes:", 0), 0u);
}

TEST(MemoryPlan, TheMachineHasMemory) {
  EXPECT_GT(available_memory(), 16 * kMiB);
  EXPECT_GT(resident_memory(), kMiB);
  EXPECT_LE(resident_memory(), peak_resident_memory() + kMiB) << "but for what the system's counters of several CPUs lag behind";
  EXPECT_LT(peak_resident_memory(), uint64_t{1} << 40);
  EXPECT_EQ(memory_allowance(123456), 123456u);
  EXPECT_GT(memory_allowance(0), 16 * kMiB);
}

}  // namespace
}  // namespace carat
