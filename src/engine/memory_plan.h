#pragma once
// Where the bytes go: weights, KV cache, activations, the program itself; and what context fits into what there is. Said before a byte of weights is read,
// and kept: the cache is reserved as planned, and the rest is what the same code allocated in a rehearsal (memory_footprint.h).
#include <cstdint>
#include <string>

#include "backend/kv_store.h"
#include "engine/engine.h"
#include "engine/kv_pool.h"

namespace carat {

// Rows a step whose logits are made and used up for prompt log-probabilities: 64 KiB of logits a row of the step (a row of 262,144 is 1 MiB), at least one.
int32_t max_scored_rows(int32_t max_num_batched_tokens, int64_t vocab_size);

// Bytes this process may still take: the machine's MemAvailable, the limits of its cgroups, that of its address space, whichever is less.
uint64_t available_memory();
// The tightest memory limit of this process's cgroups; 0: none.
uint64_t cgroup_memory_limit();
// Resident bytes of this process now, and the most there ever were (VmHWM).
uint64_t resident_memory();
uint64_t peak_resident_memory();
// What this process may take in all: at most `limit` (0: no such limit) and what the machine has, less a little for everybody else.
uint64_t memory_allowance(uint64_t limit);

struct MemoryQuestion {
  KvLayout layout;
  int32_t max_positions = 0;  // the model's own longest context
  uint64_t weights = 0;       // bytes, as they are kept
  uint64_t activations = 0;
  uint64_t tables_per_tile = 0;  // what 32 more positions of context take beside the cache
  uint64_t program = 0;          // everything else of this process
  uint64_t available = 0;        // for this process in all, what it already has included
};

// A context of ctx positions in each of max_num_seqs sequences at once, all full.
struct MemoryPlan {
  int32_t ctx = 0;
  int32_t max_ctx = 0;  // the longest of which all sequences fit at once; 0: not even a block each
  int32_t num_slots = 0;
  int32_t rows = 0;                // of the largest step: max_num_batched_tokens
  int32_t slots_per_sequence = 0;  // of a sequence that fills ctx, while its prompt is computed
  uint64_t weights = 0, kv = 0, activations = 0, program = 0;
  uint64_t kv_bytes_per_token = 0;  // of the layers that see everything: what each further position of a sequence takes
  uint64_t kv_window = 0;           // of the sliding layers: what a sequence takes however long it gets
  uint64_t available = 0;
  uint64_t total() const { return weights + kv + activations + program; }
  bool fits() const { return total() <= available; }
};

// The plan for options.ctx, whether it fits or not; ctx = 0 means max_ctx, or the least when nothing fits.
// Fails with invalid_argument for options out of range.
MemoryPlan foretell_memory(const MemoryQuestion& question, const EngineOptions& options);

// The plan an engine is made by. Sequences share the cache, so what has to fit is one that fills ctx; slots are reserved for as many as fit, at most max_num_seqs.
// ctx = 0 means the longest of which one fits, at most the model's own. Fails with exhausted, saying what is needed, what there is and what would help.
MemoryPlan plan_memory(const MemoryQuestion& question, const EngineOptions& options);

// What would make a plan fit that does not, least change first: "--kv q8, --ctx 4096 or --parallel 2". `sequences`: how many have to fit at once.
std::string memory_advice(const MemoryQuestion& question, const EngineOptions& options, int32_t sequences);

// The plan of a model that is not loaded, whatever fits: what `carat plan` shows. Reads the file's header and vocabulary only.
struct MemoryForecast {
  MemoryPlan plan;
  uint64_t per_layer_embeddings = 0;  // in the file, read row by row
  uint64_t weights_mapped = 0;        // of plan.weights: used where they lie in the file
  std::string advice;                 // when the plan does not fit
};
// options.engine must be given. Fails like load_model but for what does not fit. (engine/model_loader.cpp)
MemoryForecast forecast_memory(const std::string& path, const LoadOptions& options);

// "1.50 GiB"
std::string format_bytes(uint64_t bytes);

}  // namespace carat
