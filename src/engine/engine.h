#pragma once
// Sequences in, tokens out. Each step() schedules rows of many sequences, runs the model once, samples, and reports.
// A request's tokens do not depend on what else is being served, on chunk sizes, prefix hits, preemption or threads.
#include <memory>
#include <optional>

#include "backend/ops.h"
#include "engine/request.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace carat {

struct EngineOptions {
  int32_t ctx = 0;                       // longest sequence; 0: the most that fits, at most the model's own
  int32_t max_num_seqs = 8;              // running at once
  int32_t max_num_batched_tokens = 512;  // rows a step, at least max_num_seqs
  int32_t prefill_chunk = 0;             // rows of one sequence a step; 0: up to max_num_batched_tokens
  DType kv_dtype = DType::f16;           // f16, f32, or q8_0 (int8 with scales)
  int64_t kv_bytes = 0;                  // cache budget; 0: what ctx and max_num_seqs need, at most what the machine has left
  bool prefix_cache = true;
  uint64_t memory_limit = 0;  // for this process in all; 0: what the machine or its cgroup has

  bool operator==(const EngineOptions&) const = default;
};

struct EngineStats {
  int64_t steps = 0, rows = 0, preemptions = 0, prefix_hit_tokens = 0;
  int32_t running = 0, waiting = 0, slots_used = 0, slots_total = 0;
};

// What a door hands to the engine: everything loaded from one path. `ops` outlives `model`.
struct LoadedModel {
  std::shared_ptr<const class Checkpoint> checkpoint;
  std::shared_ptr<const Tokenizer> tokenizer;  // may be null for token-id use of a file without vocabulary
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Model> model;
  std::shared_ptr<const struct MemoryPlan> plan;  // of an engine with the options below, when loading was told of it; else null
  EngineOptions planned_for;
};
struct LoadOptions {
  int num_threads = 0;
  std::string isa;           // "" = best
  bool ref_backend = false;  // the plain f32 oracle
  bool fast_bf16 = false;    // bf16 weights by the CPU's dots of bf16 (docs/numerics.md); isa is then left empty, ref_backend false
  std::function<void(uint64_t, uint64_t)> progress;
  // The engine that is to be made: what cannot fit is refused, with exhausted, before a byte of weights is read.
  std::optional<EngineOptions> engine;
};
// engine/model_loader.cpp: the one way in for every door.
std::unique_ptr<LoadedModel> load_model(const std::string& path, const LoadOptions& options);

class Engine {
 public:
  // `loaded` outlives the engine. Fails with invalid_argument (options out of range) or exhausted (memory; the message says which ctx would fit).
  Engine(LoadedModel& loaded, const EngineOptions& options);
  ~Engine();

  // Validates before admission (fails with invalid_argument); what goes wrong later ends that request only. Thread-safe.
  RequestId submit(Request request);
  void cancel(RequestId id);  // thread-safe; the request ends with `cancelled` within a step

  bool step();  // one step; false: nothing to do
  // While there is nothing to do: a few milliseconds of work that make later steps faster and change no bit; false when none is left. Not during a step.
  bool settle();
  void run_until_idle() {
    while (step()) {}
  }

  int32_t ctx() const;        // the resolved context
  EngineStats stats() const;  // thread-safe; as of the last step
  const EngineOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace carat
