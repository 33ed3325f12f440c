#include <cstdlib>  // says __GLIBC__
#ifdef __GLIBC__
#include <malloc.h>
#endif

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

// Opened, with its vocabulary and a backend; no weights yet. With options.engine there is a footprint, and a plan that fits.
struct Prepared {
  std::unique_ptr<LoadedModel> loaded = std::make_unique<LoadedModel>();
  MemoryFootprint footprint;

  void open(const std::string& path, const LoadOptions& options) {
    loaded->checkpoint = Checkpoint::open(path);
    if (options.ref_backend) {
      loaded->ops = make_ref_ops();
    } else {
      loaded->ops = make_cpu_ops({.num_threads = options.num_threads, .isa = options.isa.c_str()});
    }
  }

  // The plain backend cannot rehearse: the other one stands in, which keeps as many bytes of weights but for the rounding of its panels.
  void rehearse(const EngineOptions& engine) {
    if (loaded->ops->can_rehearse()) {
      footprint = rehearse_model(loaded->checkpoint, *loaded->ops, engine);
    } else {
      footprint = rehearse_model(loaded->checkpoint, *make_cpu_ops({.num_threads = 1}), engine);
    }
    give_back_freed_memory();
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
    prepared.rehearse(*options.engine);
    // Twice: what cannot fit is refused before its vocabulary takes memory too; then with the vocabulary counted.
    plan_memory(memory_question(prepared.footprint, options.engine->memory_limit), *options.engine);
    prepared.read_vocabulary();
    LoadedModel& loaded = *prepared.loaded;
    loaded.plan = std::make_shared<const MemoryPlan>(plan_memory(memory_question(prepared.footprint, options.engine->memory_limit), *options.engine));
    loaded.planned_for = *options.engine;
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
  prepared.rehearse(*options.engine);
  prepared.read_vocabulary();
  const MemoryQuestion question = memory_question(prepared.footprint, options.engine->memory_limit);
  MemoryForecast forecast;
  forecast.plan = foretell_memory(question, *options.engine);
  forecast.per_layer_embeddings = prepared.footprint.per_layer_embeddings;
  // What building the vocabulary took may be more than a small model ever does.
  const uint64_t peak = peak_resident_memory(), total = forecast.plan.total();
  if (peak > total) forecast.plan.program += peak - total;
  if (!forecast.plan.fits()) forecast.advice = memory_advice(question, *options.engine, options.engine->max_num_seqs);
  return forecast;
}

}  // namespace carat
