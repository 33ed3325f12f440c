#pragma once
// What a model and the largest of its steps take. Found out by a rehearsal: the code that loads weights and runs steps is run on a backend that allocates and
// computes nothing, so that what is foretold is what happens.
#include <cstdint>
#include <memory>

#include "engine/memory_plan.h"
#include "model/model.h"

namespace carat {

class Checkpoint;

struct MemoryFootprint {
  KvLayout layout;
  int32_t max_positions = 0;
  uint64_t weights = 0;               // as the backend keeps them
  uint64_t weights_mapped = 0;        // of them those that are pages of the file
  uint64_t per_layer_embeddings = 0;  // in the file; rows are read when a token needs them, none stays
  uint64_t activations = 0;           // of the largest steps: the arenas' peak
  uint64_t tables_per_tile = 0;       // cos and sin of 32 more positions
};

// Of a model that is not loaded: nothing but the file's header is read. Fails like Model::load for what the header shows.
MemoryFootprint rehearse_model(std::shared_ptr<const Checkpoint> checkpoint, Ops& ops, const EngineOptions& options);
// Of a loaded one.
MemoryFootprint rehearse_steps(const Model& model, Ops& ops, const EngineOptions& options);

// With what this process takes now as `program`, less the `loaded` bytes of weights in it. `limit`: for the process in all; 0: what the machine has.
MemoryQuestion memory_question(const MemoryFootprint& footprint, uint64_t limit, uint64_t loaded = 0);

}  // namespace carat
