#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace carat {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Gemma 4 E2B's cache: 12 sliding and 3 full layers, 64 KiB pages.
MemoryQuestion question_of(uint64_t available) {
  MemoryQuestion q;
  q.layout = make_kv_layout({12, 1, 256, false, 512}, {3, 1, 512, false, 0}, DType::f16);
  q.max_positions = 131072;
  q.weights = 3000 * kMiB;
  q.activations = 100 * kMiB;
  q.program = 50 * kMiB;
  q.available = available;
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
  EXPECT_GE(rich.num_slots, 8 * rich.slots_per_sequence);
  EXPECT_EQ(rich.kv, static_cast<uint64_t>(rich.num_slots) * 192 * 1024);
  int32_t last = 0;
  for (const uint64_t mib : {200, 250, 400, 900, 2000}) {
    const MemoryQuestion q = question_of(mib * kMiB);
    const MemoryPlan plan = plan_memory(q, o);
    EXPECT_GT(plan.ctx, last);
    EXPECT_LE(plan.kv + q.activations, q.available);
    EXPECT_LE(slots_of_sequence(q.layout, plan.ctx, 512), plan.num_slots);
    EXPECT_GT(
        slots_of_sequence(q.layout, std::min(plan.ctx + 128, q.max_positions), 512) * int64_t{192 * 1024} + static_cast<int64_t>(q.activations + 64 * kMiB),
        plan.ctx < q.max_positions ? static_cast<int64_t>(q.available) : 0)
        << "a longer context would not have fitted";
    last = plan.ctx;
  }
}

TEST(MemoryPlan, SaysWhatItNeedsWhatThereIsAndWhatWouldFit) {
  EngineOptions o;
  o.ctx = 32768;
  const std::string message = refusal(question_of(300 * kMiB), o, ErrorCode::exhausted);
  EXPECT_NE(message.find("a context of 32768 needs"), std::string::npos) << message;
  EXPECT_NE(message.find("has 300.0 MiB"), std::string::npos) << message;
  const size_t at = message.find("--ctx ");
  ASSERT_NE(at, std::string::npos) << message;
  EngineOptions advised;
  advised.ctx = std::stoi(message.substr(at + 6));
  EXPECT_EQ(plan_memory(question_of(300 * kMiB), advised).ctx, advised.ctx);
  o.kv_bytes = 10 * static_cast<int64_t>(kMiB);
  EXPECT_NE(refusal(question_of(64000 * kMiB), o, ErrorCode::exhausted).find("the memory allowed for it is 10.0 MiB"), std::string::npos);
  EXPECT_NE(refusal(question_of(100 * kMiB), EngineOptions(), ErrorCode::exhausted).find("not even one block fits"), std::string::npos);
}

TEST(MemoryPlan, WeightsNotYetLoadedCount) {
  EngineOptions o;
  o.ctx = 1024;
  MemoryQuestion q = question_of(3000 * kMiB);
  EXPECT_EQ(plan_memory(q, o).ctx, 1024);
  q.loaded = false;
  EXPECT_NE(refusal(q, o, ErrorCode::exhausted).find("weights 2.93 GiB"), std::string::npos);
  const MemoryPlan plan = plan_memory(question_of(4000 * kMiB), o);
  EXPECT_EQ(plan.total(), plan.weights + plan.kv + plan.activations + plan.program);
}

TEST(MemoryPlan, AStatedBudgetIsUsedUp) {
  EngineOptions o;
  o.ctx = 512;
  o.kv_bytes = 96 * static_cast<int64_t>(kMiB);
  EXPECT_EQ(plan_memory(question_of(64000 * kMiB), o).num_slots, 512);
  o.kv_bytes *= 20;
  EXPECT_EQ(plan_memory(question_of(64000 * kMiB), o).num_slots, 10240);  // all of it: what is not held keeps prefixes
}

TEST(MemoryPlan, ModelsOfOneGroup) {
  MemoryQuestion q = question_of(1000 * kMiB);
  q.layout = make_kv_layout({12, 1, 256, false, 512}, {}, DType::f16);
  EXPECT_EQ(plan_memory(q, EngineOptions()).ctx, q.max_positions);  // a window never grows
  q.layout = make_kv_layout({}, {3, 1, 512, false, 0}, DType::f32);
  const MemoryPlan plan = plan_memory(q, EngineOptions());
  EXPECT_EQ(plan.slots_per_sequence, (plan.ctx + 31) / 32);
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
  EXPECT_LT(resident_memory(), uint64_t{1} << 40);
}

}  // namespace
}  // namespace carat
