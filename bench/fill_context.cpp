// Does a plan of memory hold? fill_context MODEL [ctx=2048] [parallel=8] [kv=f16] [threads=2] [prompt=7/8 of ctx]
// Runs that many sequences of random tokens until each fills its context. Prints one JSON line: the plan, and the most that was resident (VmHWM).
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"

namespace carat {
namespace {

int fill(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const std::string kv = argc > 4 ? argv[4] : "f16";
  EngineOptions options;
  options.ctx = number(2, 2048);
  options.max_num_seqs = number(3, 8);
  options.kv_dtype = kv == "f32" ? DType::f32 : kv == "q8" ? DType::q8_0 : DType::f16;
  const int prompt = std::clamp(number(6, options.ctx * 7 / 8), 1, options.ctx - 1);
  LoadOptions load;
  load.num_threads = number(5, 2);
  load.engine = options;
  const auto loaded = load_model(argv[1], load);
  Engine engine(*loaded, options);
  const auto vocab = static_cast<uint64_t>(loaded->model->config().vocab_size);
  int tokens = 0;
  for (int i = 0; i < options.max_num_seqs; ++i) {
    Request request;
    for (int j = 0; j < prompt; ++j) request.token_ids.push_back(static_cast<int32_t>(random_u64(static_cast<uint64_t>(i), static_cast<uint64_t>(j)) % vocab));
    request.sampling.temperature = 1;
    request.sampling.ignore_eos = true;
    request.sampling.seed = static_cast<uint64_t>(i);
    request.on_output = [&tokens](const RequestOutput& out) { tokens += static_cast<int>(out.token_ids.size()); };
    engine.submit(std::move(request));
  }
  engine.run_until_idle();
  const MemoryPlan& plan = *loaded->plan;
  const uint64_t peak = peak_resident_memory();
  fmt::print(
      "{{\"ctx\":{},\"parallel\":{},\"kv\":\"{}\",\"threads\":{},\"weights\":{},\"kv_total\":{},\"activations\":{},\"program\":{},\"total\":{},\"peak\":{},"
      "\"peak_over_plan\":{:.4f},\"generated\":{},\"step_peak\":{},\"preemptions\":{}}}\n",
      options.ctx, options.max_num_seqs, kv, load.num_threads, plan.weights, plan.kv, plan.activations, plan.program, plan.total(), peak,
      static_cast<double>(peak) / static_cast<double>(plan.total()), tokens, loaded->ops->peak_step_bytes(), engine.stats().preemptions);
  return 0;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: fill_context MODEL [ctx] [parallel] [kv] [threads] [prompt]\n", stderr), 2;
  try {
    return carat::fill(argc, argv);
  } catch (const carat::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
