#include "cli/bench_run.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "cli/interrupt.h"

namespace carat::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr double kSecondsARate = 0.1;  // of what the machine allows, beside each repeat

Rates mean(const Rates& a, const Rates& b) {
  return {(a.read_gb_per_s + b.read_gb_per_s) / 2, (a.f32_gflops + b.f32_gflops) / 2, (a.int8_gops + b.int8_gops) / 2};
}

// Streams of random ids.
constexpr uint64_t kFresh = 0, kDepths = 1;

int32_t random_id(uint64_t stream, uint64_t index, int32_t vocab_size) {
  return static_cast<int32_t>(random_u64(stream, index) % static_cast<uint64_t>(vocab_size));
}

// Ids that no prompt had before: nothing of them is found in the cache.
void append_fresh(std::vector<int32_t>& ids, int64_t n, int32_t vocab_size) {
  static uint64_t drawn = 0;
  for (int64_t i = 0; i < n; ++i) ids.push_back(random_id(kFresh, drawn++, vocab_size));
}

// One request, as far as it has come.
struct Run {
  int32_t tokens = 0, cached = 0;
  double first_token_seconds = 0;
  bool ended = false;
  std::string error;
};

class Bench {
 public:
  Bench(Session& session, const BenchOptions& options)
      : engine_(*session.engine), config_(session.loaded->model->config()), options_(options), depths_(static_cast<size_t>(options.parallel)) {
    // A sequence's depth is the same for all that is measured: it is filled once.
    for (size_t s = 0; s < depths_.size(); ++s)
      for (int32_t i = 0; i < options_.depth; ++i) depths_[s].push_back(random_id(kDepths + s, static_cast<uint64_t>(i), vocab_size()));
  }

  int32_t vocab_size() const { return static_cast<int32_t>(config_.vocab_size); }

  // The tokens at depth lie in the cache after it. What of them is there already is not computed again.
  void fill(int32_t sequence) {
    if (options_.depth == 0) return;
    Run run;
    submit(run, depths_[static_cast<size_t>(sequence)], 0);
    finish({&run, 1});
  }

  // Sequence's depth and then `fresh` tokens that are nowhere.
  std::vector<int32_t> prompt(int32_t sequence, int64_t fresh) const {
    std::vector<int32_t> ids = depths_[static_cast<size_t>(sequence)];
    append_fresh(ids, fresh, vocab_size());
    return ids;
  }

  // run must stay where it is until it has ended.
  void submit(Run& run, std::vector<int32_t> ids, int32_t max_tokens) {
    Request request;
    request.token_ids = std::move(ids);
    request.sampling.temperature = 0;
    request.sampling.max_tokens = max_tokens;
    request.sampling.ignore_eos = true;
    request.use_prefix_cache = options_.depth > 0;
    request.on_output = [&run](const RequestOutput& output) {
      run.tokens = output.completion_tokens, run.cached = output.cached_tokens, run.first_token_seconds = output.first_token_seconds;
      run.ended = output.finish != FinishReason::none;
      run.error = output.error;
    };
    engine_.submit(std::move(request));
  }

  template <typename Done>
  void step_until(std::span<const Run> runs, Done done) {
    while (!std::all_of(runs.begin(), runs.end(), done) && engine_.step()) {
      if (interrupt_.requested()) fail(ErrorCode::cancelled, "interrupted");
    }
    for (const Run& run : runs) {
      if (!run.error.empty()) fail(ErrorCode::internal, "the request failed: {}", run.error);
    }
    check(std::all_of(runs.begin(), runs.end(), done), "the engine goes idle when its requests have come as far as they are to");
  }
  void finish(std::span<const Run> runs) {
    step_until(runs, [](const Run& run) { return run.ended; });
  }

  Engine& engine() { return engine_; }
  const InterruptScope& interrupt() const { return interrupt_; }

 private:
  InterruptScope interrupt_;
  Engine& engine_;
  const ModelConfig& config_;
  const BenchOptions& options_;
  std::vector<std::vector<int32_t>> depths_;  // the ids of each sequence
};

Work prefill_work(const Session& session, int64_t begin, int64_t end) {
  const Model& model = *session.loaded->model;
  const EngineOptions& options = session.engine->options();
  Work work;
  for (int64_t at = begin; at < end;) {
    const int64_t rows = std::min<int64_t>(end - at, options.max_num_batched_tokens);
    work += step_work(model.config(), model.weights(), options.kv_dtype, {.sequences = 1, .rows = rows, .depth = at, .logit_rows = at + rows == end ? 1 : 0});
    at += rows;
  }
  return work;
}

Work decode_work(const Session& session, const BenchOptions& options) {
  const Model& model = *session.loaded->model;
  Work work;
  for (int64_t i = 0; i < options.tokens; ++i) {
    work += step_work(model.config(), model.weights(), session.engine->options().kv_dtype,
                      {.sequences = options.parallel, .rows = 1, .depth = options.depth + 1 + i, .logit_rows = 1});
  }
  return work;
}

// Seconds that `tokens` more of every sequence take, once each has its first.
double decode_once(Bench& bench, const BenchOptions& options, int32_t tokens) {
  std::vector<Run> runs(static_cast<size_t>(options.parallel));
  for (int32_t s = 0; s < options.parallel; ++s) bench.fill(s);
  for (int32_t s = 0; s < options.parallel; ++s) bench.submit(runs[static_cast<size_t>(s)], bench.prompt(s, 1), tokens + 1);
  bench.step_until(runs, [](const Run& run) { return run.tokens > 0; });
  const bool together = std::all_of(runs.begin(), runs.end(), [](const Run& run) { return run.tokens == 1; });
  const EngineStats before = bench.engine().stats();
  const auto start = Clock::now();
  bench.finish(runs);
  const double seconds = seconds_since(start);
  const EngineStats after = bench.engine().stats();
  if (!together || after.preemptions != before.preemptions || after.steps - before.steps != tokens) {
    fail(ErrorCode::exhausted, "{} sequences of {} tokens do not fit into the cache at once, this machine, give more --mem-limit or less --parallel or --depth",
         options.parallel, options.depth + tokens + 1);
  }
  return seconds;
}

}  // namespace

int32_t bench_ctx(const BenchOptions& options) { return options.depth + std::max(options.prompt, options.tokens + 1) + 1; }

int32_t bench_room(const BenchOptions& options) {
  constexpr int32_t kLargestBlock = 4096;
  const int32_t spare_blocks = options.parallel - 1, blocks = std::max(1, bench_ctx(options) / kLargestBlock);  // of a sequence, at least
  return options.parallel + (spare_blocks + blocks - 1) / blocks;
}

double Phase::median(const std::function<double(const Repeat&)>& figure) const {
  std::vector<double> sorted;
  for (const Repeat& r : repeats) sorted.push_back(figure(r));
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  return n == 0 ? 0 : (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

double Phase::median_seconds() const {
  return median([](const Repeat& r) { return r.seconds; });
}

void first_token(Session& session) {
  BenchOptions none;
  Bench bench(session, none);
  std::vector<int32_t> ids = {0};
  if (session.loaded->tokenizer) ids = session.loaded->tokenizer->encode("The capital of France is", {.add_bos = true, .parse_special = false});
  ids.resize(std::min<size_t>(ids.size(), static_cast<size_t>(session.engine->ctx() - 1)));
  Run run;
  bench.submit(run, std::move(ids), 1);
  bench.finish({&run, 1});
}

Phase measure_prefill(Session& session, const BenchOptions& options, RooflineMeter& meter) {
  Phase phase;
  if (options.prompt == 0) return phase;
  Bench bench(session, options);
  Rates before;
  for (int32_t i = 0; i <= options.repeat; ++i) {
    bench.fill(0);
    Run run;
    bench.submit(run, bench.prompt(0, options.prompt), 1);
    bench.finish({&run, 1});
    const Rates after = meter.measure(kSecondsARate);
    const Rates beside = mean(std::exchange(before, after), after);
    if (i == 0) continue;  // warm now
    const int64_t end = int64_t{options.depth} + options.prompt;
    phase.repeats.push_back({run.first_token_seconds, beside});
    phase.tokens = end - run.cached;
    phase.steps = (phase.tokens + session.engine->options().max_num_batched_tokens - 1) / session.engine->options().max_num_batched_tokens;
    phase.work = prefill_work(session, run.cached, end);
  }
  return phase;
}

Phase measure_decode(Session& session, const BenchOptions& options, RooflineMeter& meter) {
  Phase phase;
  if (options.tokens == 0) return phase;
  constexpr int32_t kWarm = 8;
  Bench bench(session, options);
  decode_once(bench, options, std::min(options.tokens, kWarm));
  Rates before = meter.measure(kSecondsARate);
  for (int32_t i = 0; i < options.repeat; ++i) {
    const double seconds = decode_once(bench, options, options.tokens);
    const Rates after = meter.measure(kSecondsARate);
    phase.repeats.push_back({seconds, mean(std::exchange(before, after), after)});
  }
  phase.tokens = int64_t{options.parallel} * options.tokens;
  phase.steps = options.tokens;
  phase.work = decode_work(session, options);
  return phase;
}

}  // namespace carat::cli
