#include "engine/memory_plan.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"

namespace carat {
namespace {

constexpr int32_t kTile = 32;  // positions of a tile of the cache

void check_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) fail(ErrorCode::invalid_argument, "{}: {} is outside {}..{}", name, value, least, most);
}

void check_options(const MemoryQuestion& q, const EngineOptions& o) {
  check_range("max_num_seqs", o.max_num_seqs, 1, 4096);
  check_range("max_num_batched_tokens", o.max_num_batched_tokens, o.max_num_seqs, 65536);  // each running sequence has its row
  check_range("prefill_chunk", o.prefill_chunk, 0, 65536);
  if (o.ctx < 0 || o.ctx > q.max_positions)
    fail(ErrorCode::invalid_argument, "ctx: {} is no context of this model, which has 1 to {} positions; give one of these, or none for the most that fits",
         o.ctx, q.max_positions);
  if (o.kv_bytes < 0) fail(ErrorCode::invalid_argument, "kv_bytes: {} is negative; 0 means what is needed, at most what the machine has", o.kv_bytes);
}

int32_t chunk_of(const EngineOptions& o) { return o.prefill_chunk > 0 ? std::min(o.prefill_chunk, o.max_num_batched_tokens) : o.max_num_batched_tokens; }

uint64_t slot_bytes(const MemoryQuestion& q) { return static_cast<uint64_t>(q.layout.slot_bytes()); }

uint64_t tables(const MemoryQuestion& q, int32_t ctx) { return q.tables_per_tile * ((static_cast<uint64_t>(ctx) + kTile - 1) / kTile); }

// Slots of `sequences` that fill ctx at once. A step computes one chunk: while one is in its prompt, the others' windows have no rows beside them.
int64_t slots_needed(const MemoryQuestion& q, const EngineOptions& o, int32_t ctx, int32_t sequences) {
  return slots_of_sequence(q.layout, ctx, chunk_of(o)) + int64_t{sequences - 1} * slots_of_sequence(q.layout, ctx, 1);
}

uint64_t kv_budget(const MemoryQuestion& q, const EngineOptions& o, int32_t ctx) {
  const uint64_t others = q.weights + q.activations + q.program + tables(q, ctx);
  const uint64_t left = q.available - std::min(q.available, others);
  return o.kv_bytes > 0 ? std::min(static_cast<uint64_t>(o.kv_bytes), left) : left;
}

bool fits(const MemoryQuestion& q, const EngineOptions& o, int32_t ctx, int32_t sequences) {
  return static_cast<uint64_t>(slots_needed(q, o, ctx, sequences)) <= kv_budget(q, o, ctx) / slot_bytes(q);
}

// The longest context of which `sequences` fit at once, in whole blocks unless it is the model's own; 0: none.
int32_t longest(const MemoryQuestion& q, const EngineOptions& o, int32_t sequences) {
  int32_t most = 0;
  for (int32_t lo = 1, hi = q.max_positions; lo <= hi;) {
    const int32_t mid = lo + (hi - lo) / 2;
    if (fits(q, o, mid, sequences))
      most = mid, lo = mid + 1;
    else
      hi = mid - 1;
  }
  return most < q.max_positions ? most / q.layout.max_block_positions() * q.layout.max_block_positions() : most;
}

int32_t least_ctx(const MemoryQuestion& q) { return std::min(q.max_positions, q.layout.max_block_positions()); }

MemoryPlan plan_for(const MemoryQuestion& q, const EngineOptions& o, int32_t ctx, int64_t slots) {
  MemoryPlan plan;
  plan.ctx = ctx;
  plan.rows = o.max_num_batched_tokens;
  plan.slots_per_sequence = slots_of_sequence(q.layout, ctx, chunk_of(o));
  plan.num_slots = static_cast<int32_t>(std::min<int64_t>(slots, std::numeric_limits<int32_t>::max() / 2));
  plan.weights = q.weights;
  plan.activations = q.activations + tables(q, ctx);
  plan.program = q.program;
  plan.available = q.available;
  plan.kv = static_cast<uint64_t>(plan.num_slots) * slot_bytes(q);
  if (q.layout.slots_per_block[kFullGroup] > 0) plan.kv_bytes_per_token = slot_bytes(q) / static_cast<uint64_t>(q.layout.block_positions[kFullGroup]);
  const int64_t window_slots = blocks_of_sequence(q.layout, kSlidingGroup, ctx, 1) * q.layout.slots_per_block[kSlidingGroup];
  plan.kv_window = static_cast<uint64_t>(window_slots) * slot_bytes(q);
  return plan;
}

// The same question with the cache in another type; empty when the layers do not allow it.
bool with_kv(const MemoryQuestion& q, DType dtype, MemoryQuestion& out) {
  try {
    out = q;
    out.layout = make_kv_layout(q.layout.groups[kSlidingGroup], q.layout.groups[kFullGroup], dtype);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) text += (i == 0 ? "" : i + 1 < parts.size() ? ", " : " or ") + parts[i];
  return text;
}

}  // namespace

int32_t max_scored_rows(int32_t max_num_batched_tokens, int64_t vocab_size) {
  constexpr int64_t kLogitsARow = 64 << 10;  // as much as other results of a row take in the smallest models
  const int64_t rows = kLogitsARow * max_num_batched_tokens / (int64_t{4} * std::max<int64_t>(vocab_size, 1));
  return static_cast<int32_t>(std::clamp<int64_t>(rows, 1, max_num_batched_tokens));
}

MemoryPlan foretell_memory(const MemoryQuestion& q, const EngineOptions& o) {
  check_options(q, o);
  const int32_t max_ctx = longest(q, o, o.max_num_seqs);
  const int32_t ctx = o.ctx > 0 ? o.ctx : max_ctx > 0 ? max_ctx : least_ctx(q);
  const int64_t slots = o.kv_bytes > 0 ? o.kv_bytes / q.layout.slot_bytes() : slots_needed(q, o, ctx, o.max_num_seqs);
  MemoryPlan plan = plan_for(q, o, ctx, slots);
  plan.max_ctx = max_ctx;
  return plan;
}

MemoryPlan plan_memory(const MemoryQuestion& q, const EngineOptions& o) {
  check_options(q, o);
  const int32_t alone = longest(q, o, 1);
  const int32_t ctx = o.ctx > 0 ? o.ctx : alone;
  if (ctx == 0 || !fits(q, o, ctx, 1)) {
    const int32_t wanted = ctx > 0 ? ctx : least_ctx(q);
    const uint64_t cache = static_cast<uint64_t>(slots_needed(q, o, wanted, 1)) * slot_bytes(q);
    const std::string advice = memory_advice(q, o, 1);
    const uint64_t others = q.weights + q.activations + q.program + tables(q, wanted);
    if (o.kv_bytes > 0 && q.available >= others && static_cast<uint64_t>(o.kv_bytes) <= q.available - others) {
      fail(ErrorCode::exhausted, "memory: a context of {} needs a KV cache of {}, the memory allowed for it is {}; {}", wanted, format_bytes(cache),
           format_bytes(static_cast<uint64_t>(o.kv_bytes)), advice);
    }
    fail(ErrorCode::exhausted, "memory: a context of {} needs {} (weights {}, KV cache {}, activations {}, program {}), there are {}; {}", wanted,
         format_bytes(cache + others), format_bytes(q.weights), format_bytes(cache), format_bytes(q.activations + tables(q, wanted)), format_bytes(q.program),
         format_bytes(q.available), advice);
  }
  const auto most = static_cast<int64_t>(kv_budget(q, o, ctx) / slot_bytes(q));
  MemoryPlan plan = plan_for(q, o, ctx, o.kv_bytes > 0 ? most : std::min(most, slots_needed(q, o, ctx, o.max_num_seqs)));
  plan.max_ctx = longest(q, o, o.max_num_seqs);
  return plan;
}

std::string memory_advice(const MemoryQuestion& q, const EngineOptions& o, int32_t sequences) {
  const int32_t ctx = o.ctx > 0 ? o.ctx : least_ctx(q);
  std::vector<std::string> ways;
  const auto smaller = [&](DType dtype, const char* name) {
    MemoryQuestion other;
    if (dtype == q.layout.dtype || !with_kv(q, dtype, other)) return;
    if (fits(other, o, ctx, sequences)) ways.push_back(fmt::format("--kv {}", name));
  };
  if (q.layout.dtype == DType::f32) smaller(DType::f16, "f16");
  if (ways.empty() && q.layout.dtype != DType::q8_0) smaller(DType::q8_0, "q8");
  if (const int32_t most = longest(q, o, sequences); most > 0 && (o.ctx == 0 || most < o.ctx)) ways.push_back(fmt::format("--ctx {}", most));
  for (int32_t n = sequences - 1; n >= 1; --n) {
    if (!fits(q, o, ctx, n)) continue;
    ways.push_back(fmt::format("--parallel {}", n));
    break;
  }
  if (!ways.empty()) return joined(ways) + " would fit";
  MemoryQuestion q8;
  if (q.layout.dtype != DType::q8_0 && with_kv(q, DType::q8_0, q8)) {
    if (const int32_t most = longest(q8, o, sequences); most > 0) return fmt::format("--kv q8 with --ctx {} would fit", most);
  }
  // The cache is not what is too large: what is left for weights beside the least of it.
  const uint64_t beside = q.activations + q.program + tables(q, least_ctx(q)) + static_cast<uint64_t>(slots_needed(q, o, least_ctx(q), 1)) * slot_bytes(q);
  if (q.available <= beside) return "no context fits beside the program; allow more memory";
  return fmt::format("a smaller quantisation, with at most {} of weights, would fit", format_bytes(q.available - beside));
}

std::string format_bytes(uint64_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes >= uint64_t{1} << 30) return fmt::format("{:.2f} GiB", b / (1 << 30));
  if (bytes >= uint64_t{1} << 20) return fmt::format("{:.1f} MiB", b / (1 << 20));
  return fmt::format("{:.1f} KiB", b / 1024);
}

}  // namespace carat
