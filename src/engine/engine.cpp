#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "engine/engine_core.h"
#include "engine/memory_footprint.h"
#include "engine/stop_tokens.h"

namespace carat {
namespace {

MemoryPlan plan_now(LoadedModel& loaded, const EngineOptions& options) {
  Ops& ops = *loaded.ops;
  const auto stand_in = ops.can_rehearse() ? nullptr : make_cpu_ops({.num_threads = 1});
  const MemoryFootprint footprint = rehearse_steps(*loaded.model, stand_in ? *stand_in : ops, options);
  return plan_memory(memory_question(footprint, options.memory_limit, footprint.weights), options);
}

}  // namespace

struct Engine::Impl {
  Impl(EngineModel model, const EngineOptions& options, Ops& with) : core(std::move(model), options), ops(with) {}
  EngineCore core;
  Ops& ops;
};

Engine::Engine(LoadedModel& loaded, const EngineOptions& options) {
  check(loaded.ops && loaded.model, "an engine is made from a loaded model");
  const ModelConfig& config = loaded.model->config();
  // Without a plan made before loading: what is resident beside the weights is the program.
  const MemoryPlan plan = loaded.plan && loaded.planned_for == options ? *loaded.plan : plan_now(loaded, options);
  EngineOptions resolved = options;
  resolved.ctx = plan.ctx;
  resolved.max_num_batched_tokens = plan.rows;

  EngineModel model;
  model.vocab_size = static_cast<int32_t>(config.vocab_size);
  model.eos_token_ids = stop_tokens(config.eos_token_ids, loaded.tokenizer.get());
  model.suppress_tokens = config.suppress_tokens;
  model.tokenizer = loaded.tokenizer;
  model.store = loaded.ops->make_kv_store(loaded.model->kv_layout(options.kv_dtype), plan.num_slots);
  model.forward = [&loaded](const Batch& batch, KvStore& store) { return loaded.model->forward(*loaded.ops, store, batch); };
  model.for_each = [&loaded](int64_t n, const std::function<void(int64_t)>& fn) { loaded.ops->for_each(n, fn); };
  impl_ = std::make_unique<Impl>(std::move(model), resolved, *loaded.ops);
  log::info("engine ready", {{"ctx", plan.ctx}, {"slots", plan.num_slots}, {"kv_bytes", plan.kv}, {"weight_bytes", plan.weights}});
}

Engine::~Engine() = default;
RequestId Engine::submit(Request request) { return impl_->core.submit(std::move(request)); }
void Engine::cancel(RequestId id) { impl_->core.cancel(id); }
bool Engine::step() { return impl_->core.step(); }
bool Engine::settle() { return impl_->ops.settle(); }
int32_t Engine::ctx() const { return impl_->core.options().ctx; }
EngineStats Engine::stats() const { return impl_->core.stats(); }
const EngineOptions& Engine::options() const { return impl_->core.options(); }

}  // namespace carat
