#pragma once
// Where the bytes go: weights, KV cache, activations, the program itself; and what context fits into what the machine has.
#include <cstdint>
#include <string>

#include "backend/kv_store.h"
#include "engine/engine.h"
#include "engine/kv_pool.h"

namespace carat {

// Logits of prompt log-probabilities made and used up in a step; a row of 262,144 is 1 MiB.
inline constexpr int64_t kScoredLogitBytes = int64_t{64} << 20;

// Bytes this process may still take: the machine's MemAvailable and the limits of its cgroups, whichever is less.
uint64_t available_memory();
// Resident bytes of this process now.
uint64_t resident_memory();
// Activations and logits of the largest step: an upper estimate.
uint64_t activation_bytes(const ModelConfig& config, const EngineOptions& options);

struct MemoryQuestion {
  KvLayout layout;
  int32_t max_positions = 0;  // the model's own longest context
  uint64_t weights = 0;       // bytes
  uint64_t activations = 0;
  uint64_t program = 0;
  bool loaded = true;  // weights and program are in memory already: `available` is what is left beside them
  uint64_t available = 0;
};

struct MemoryPlan {
  int32_t ctx = 0;
  int32_t num_slots = 0;
  int32_t slots_per_sequence = 0;  // of a sequence that fills ctx
  uint64_t weights = 0, kv = 0, activations = 0, program = 0;
  uint64_t kv_per_sequence = 0;
  uint64_t total() const { return weights + kv + activations + program; }
};

// Resolves options.ctx = 0 to the longest context of which one sequence fits (at most the model's own) and the slots to reserve: what max_num_seqs such sequences
// and a few kept windows need, at most what there is. Fails with exhausted, saying what it needs, what there is and which --ctx would fit;
// with invalid_argument for options out of range.
MemoryPlan plan_memory(const MemoryQuestion& question, const EngineOptions& options);

// "1.50 GiB"
std::string format_bytes(uint64_t bytes);

}  // namespace carat
