#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine_core.h"
#include "engine/memory_plan.h"

namespace carat {
namespace {

int32_t longest_context(const ModelConfig& config) { return static_cast<int32_t>(std::min<int64_t>(config.max_position_embeddings, 1 << 30)); }

}  // namespace

struct Engine::Impl {
  Impl(EngineModel model, const EngineOptions& options) : core(std::move(model), options) {}
  EngineCore core;
};

Engine::Engine(LoadedModel& loaded, const EngineOptions& options) {
  check(loaded.ops && loaded.model, "an engine is made from a loaded model");
  const ModelConfig& config = loaded.model->config();
  MemoryQuestion question;
  question.layout = loaded.model->kv_layout(options.kv_dtype);
  question.max_positions = longest_context(config);
  question.weights = loaded.model->weight_bytes();
  question.activations = activation_bytes(config, options);
  const uint64_t resident = resident_memory();
  question.program = resident - std::min(resident, question.weights);
  question.available = available_memory();
  const MemoryPlan plan = plan_memory(question, options);
  EngineOptions resolved = options;
  resolved.ctx = plan.ctx;

  EngineModel model;
  model.vocab_size = static_cast<int32_t>(config.vocab_size);
  model.eos_token_ids = config.eos_token_ids;
  model.suppress_tokens = config.suppress_tokens;
  model.tokenizer = loaded.tokenizer;
  model.store = loaded.ops->make_kv_store(question.layout, plan.num_slots);
  model.forward = [&loaded](const Batch& batch, KvStore& store) { return loaded.model->forward(*loaded.ops, store, batch); };
  impl_ = std::make_unique<Impl>(std::move(model), resolved);
  log::info("engine ready", {{"ctx", plan.ctx}, {"slots", plan.num_slots}, {"kv_bytes", plan.kv}, {"weight_bytes", plan.weights}});
}

Engine::~Engine() = default;
RequestId Engine::submit(Request request) { return impl_->core.submit(std::move(request)); }
void Engine::cancel(RequestId id) { impl_->core.cancel(id); }
bool Engine::step() { return impl_->core.step(); }
int32_t Engine::ctx() const { return impl_->core.options().ctx; }
EngineStats Engine::stats() const { return impl_->core.stats(); }
const EngineOptions& Engine::options() const { return impl_->core.options(); }

}  // namespace carat
