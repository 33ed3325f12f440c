#include <cstdlib>  // says __GLIBC__
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/memory_footprint.h"
#include "formats/checkpoint.h"

namespace carat {
namespace {

// What building left behind in malloc's hands would otherwise stay resident.
void give_back_freed_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

// Steps are made smaller, down to this many rows, where their activations leave no room for a context.
constexpr int32_t kLeastRows = 32;
constexpr int32_t kUsefulCtx = 2048;

// Opened, with its vocabulary and a backend; no weights yet.
struct Prepared {
  std::unique_ptr<LoadedModel> loaded = std::make_unique<LoadedModel>();
  MemoryFootprint footprint;
  EngineOptions engine;  // with steps that leave room for a context, if that can be

  void open(const std::string& path, const LoadOptions& options) {
    loaded->checkpoint = Checkpoint::open(path);
    if (options.ref_backend) {
      loaded->ops = make_ref_ops();
    } else {
      loaded->ops = make_cpu_ops({.num_threads = options.num_threads, .isa = options.isa.c_str(), .fast_bf16 = options.fast_bf16});
    }
    if (options.engine) engine = *options.engine;
  }

  MemoryQuestion question() const { return memory_question(footprint, engine.memory_limit); }

  void rehearse() {
    // The plain backend cannot: the other one stands in, which keeps as many bytes of weights but for the rounding of its panels.
    const auto stand_in = loaded->ops->can_rehearse() ? nullptr : make_cpu_ops({.num_threads = 1});
    Ops& ops = stand_in ? *stand_in : *loaded->ops;
    while (true) {
      const int32_t fewer = engine.max_num_batched_tokens / 2;
      const bool least = fewer < std::max(kLeastRows, engine.max_num_seqs);
      try {
        footprint = rehearse_model(loaded->checkpoint, ops, engine);
        if (least || leaves_room()) break;
      } catch (const std::bad_alloc&) {  // nothing is touched: what is short is addresses
        if (least) {
          fail(ErrorCode::exhausted,
               "memory: the results of a step of {} rows need more address space than this process may take; raise its limit (ulimit -v){}",
               engine.max_num_batched_tokens, engine.max_num_seqs > kLeastRows ? " or give a smaller --parallel" : "");
        }
      }
      engine.max_num_batched_tokens = fewer;
    }
    give_back_freed_memory();
  }
  bool leaves_room() const {
    const MemoryPlan plan = foretell_memory(question(), engine);
    return plan.fits() && (engine.ctx > 0 || plan.max_ctx >= std::min(footprint.max_positions, kUsefulCtx));
  }

  // A file without a vocabulary is served by token ids.
  void read_vocabulary() {
    const Checkpoint& checkpoint = *loaded->checkpoint;
    const bool there =
        checkpoint.kind() == CheckpointKind::gguf ? checkpoint.meta("tokenizer.ggml.tokens") != nullptr : checkpoint.side_file("tokenizer.json").has_value();
    if (there) loaded->tokenizer = Tokenizer::load(checkpoint);
    give_back_freed_memory();
  }
};

}  // namespace

std::unique_ptr<LoadedModel> load_model(const std::string& path, const LoadOptions& options) {
  Prepared prepared;
  prepared.open(path, options);
  if (options.engine) {
    // Twice: what cannot fit is refused before its vocabulary takes memory too; then with the vocabulary counted.
    prepared.rehearse();
    plan_memory(prepared.question(), prepared.engine);
    prepared.read_vocabulary();
    prepared.rehearse();
    prepared.loaded->plan = std::make_shared<const MemoryPlan>(plan_memory(prepared.question(), prepared.engine));
    prepared.loaded->planned_for = *options.engine;
  } else {
    prepared.read_vocabulary();
  }
  std::unique_ptr<LoadedModel> loaded = std::move(prepared.loaded);
  loaded->model = Model::load(loaded->checkpoint, *loaded->ops, options.progress);
  give_back_freed_memory();
  return loaded;
}

MemoryForecast forecast_memory(const std::string& path, const LoadOptions& options) {
  check(options.engine.has_value(), "a forecast is for the options of an engine");
  Prepared prepared;
  prepared.open(path, options);
  prepared.read_vocabulary();
  prepared.rehearse();
  const MemoryQuestion question = prepared.question();
  MemoryForecast forecast;
  forecast.plan = foretell_memory(question, prepared.engine);
  forecast.per_layer_embeddings = prepared.footprint.per_layer_embeddings;
  forecast.weights_mapped = options.ref_backend ? 0 : prepared.footprint.weights_mapped;
  // What building the vocabulary took may be more than a small model ever does.
  const uint64_t peak = peak_resident_memory(), total = forecast.plan.total();
  if (peak > total) forecast.plan.program += peak - total;
  if (!forecast.plan.fits()) forecast.advice = memory_advice(question, prepared.engine, prepared.engine.max_num_seqs);
  return forecast;
}

}  // namespace carat
