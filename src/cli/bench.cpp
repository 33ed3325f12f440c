// carat bench: how fast a model runs here, and how far that is from what the machine allows.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/bench_report.h"
#include "cli/bench_run.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/doctor_machine.h"
#include "cli/model_options.h"

namespace carat::cli {
namespace {

struct Options {
  BenchOptions bench;
  bool json = false;
};

int run(Options& options) {
  const auto start = std::chrono::steady_clock::now();
  BenchOptions& bench = options.bench;
  if (bench.prompt == 0 && bench.tokens == 0) fail(ErrorCode::invalid_argument, "there is nothing to measure, -p 0 and -n 0, give one of them tokens");
  bench.model.ctx = bench_ctx(bench);
  Session session = open_session(bench.model, bench_room(bench));
  BenchResult result;
  result.load_seconds = session.load_seconds;
  first_token(session);
  result.first_token_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  while (session.engine->settle()) {}  // what a process that runs for long does in its idle moments
  const uint64_t peak_before = peak_memory_bytes();

  const bool plain = bench.model.backend == "ref";  // one thread, f32
  result.ctx = session.engine->ctx();
  const MachineInfo machine = read_machine();
  result.cpu = machine.cpu;
  result.threads = plain ? 1 : bench.model.threads > 0 ? bench.model.threads : default_num_threads();
  const kernels::KernelTable& table = bench.model.fast_bf16 ? *kernels::fast_bf16_table() : *kernels::find_table(plain ? "scalar" : bench.model.isa.c_str());
  result.isa = plain ? "ref" : table.name;
  RooflineMeter meter(table, result.threads, machine.memory_available);
  result.prefill = measure_prefill(session, bench, meter);
  result.decode = measure_decode(session, bench, meter);
  // The buffer lay in memory from before the first repeat to the end.
  result.read_bytes = meter.read_bytes();
  const uint64_t peak = peak_memory_bytes();
  result.peak_memory = std::max(peak_before, peak - std::min(peak, result.read_bytes));
  if (options.json) {
    print_json(bench_json(bench, result));
  } else {
    print(bench_text(bench, result));
  }
  return 0;
}

Action setup(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  BenchOptions& bench = options->bench;
  constexpr int32_t kMost = 1 << 24;
  add_model_options(app, bench.model);
  app.remove_option(app.get_option("--ctx"));  // what the measurement needs, no more
  const auto number = [&app](const char* names, int32_t& value, int32_t least, int32_t most, const char* what, const char* type) {
    app.add_option(names, value, what)->check(CLI::Range(least, most))->type_name(type)->capture_default_str();
  };
  number("-p,--prompt", bench.prompt, 0, kMost, "tokens of the prompt that is computed; 0: none", "N");
  number("-n,--tokens", bench.tokens, 0, kMost, "tokens that are decoded, of each sequence; 0: none", "N");
  number("--depth", bench.depth, 0, kMost, "tokens in the cache before both", "D");
  number("--parallel", bench.parallel, 1, 512, "sequences that decode together", "S");
  number("--repeat", bench.repeat, 1, 1000, "times that each is measured; the median counts", "R");
  app.add_flag("--json", options->json, "one JSON document");
  return [options] { return run(*options); };
}

}  // namespace

const Command kBenchCommand = {
    "bench", "tokens per second, and how far that is from what this machine allows",
    "Examples:\n"
    "  carat bench gemma3:270m\n"
    "  carat bench model.gguf -p 512 -n 128 --depth 4096\n"
    "  carat bench model.gguf --parallel 8 --json | jq .decode\n\n"
    "Measured on the engine that all commands use, with random token ids, greedy, never ending early, after a warm-up: prefill is the\n"
    "time from handing over -p tokens to the first token of the answer (logits are computed for the last one only), behind --depth\n"
    "tokens that lie in the cache; decode the time of the -n steps after it, the tokens of all sequences counted. The first token's\n"
    "time counts from the command's start: loading and a prompt of one short sentence. Peak memory is VmHWM.\n"
    "What the machine allows is measured beside each repeat, with the same threads and instructions: reading a buffer far beyond the\n"
    "caches, multiply-adds in registers, in f32 and of bytes. Prefill's share: its operations (of matrices and attention, 2 a\n"
    "multiply-add) at that speed, by the time it took. Decode's: the bytes of weights and cache that a step must read, by the time.",
    setup};

}  // namespace carat::cli
