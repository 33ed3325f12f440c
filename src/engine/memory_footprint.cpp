#include "engine/memory_footprint.h"

#include <algorithm>
#include <vector>

#include "backend/ops.h"
#include "base/error.h"

namespace carat {
namespace {

constexpr uint64_t kTouchedLater = 640 << 10;  // of the program itself: code and tables that only steps and answers use

// Ends the rehearsal however it goes.
class Rehearsal {
 public:
  explicit Rehearsal(Ops& ops) : ops_(ops) { ops_.rehearse(true); }
  ~Rehearsal() { ops_.rehearse(false); }
  Rehearsal(const Rehearsal&) = delete;
  Rehearsal& operator=(const Rehearsal&) = delete;

 private:
  Ops& ops_;
};

// Rows of sequences that stand at the end of their context: `rows[i]` of the i-th, the last `scored[i]` of which want logits.
Batch step_of(const std::vector<int32_t>& rows, const std::vector<int32_t>& scored, int32_t ctx) {
  Batch batch;
  for (size_t i = 0; i < rows.size(); ++i) {
    BatchSpan span;
    span.row0 = static_cast<int32_t>(batch.rows()), span.rows = rows[i], span.position0 = ctx - rows[i];
    for (int32_t r = 0; r < rows[i]; ++r) {
      if (r >= rows[i] - scored[i]) batch.logit_rows.push_back(static_cast<int32_t>(batch.rows()));
      batch.token_ids.push_back(0);
      batch.positions.push_back(span.position0 + r);
    }
    batch.spans.push_back(span);
  }
  return batch;
}

// `rows` of a step: one sequence has all but one of each other's. No other way to share them out has attention in more pieces at these sizes.
std::vector<int32_t> one_prompt_beside_answers(int32_t rows, int32_t sequences, int32_t chunk) {
  std::vector<int32_t> shares(static_cast<size_t>(std::min(rows, sequences)), 1);
  shares[0] = std::min(chunk, rows - static_cast<int32_t>(shares.size()) + 1);
  return shares;
}

// The steps that take the most: prompts that fill a step, one beside answers of all others, answers alone, one answer alone (its context is then shared out over
// the threads), and the log-probabilities of prompts.
std::vector<Batch> largest_steps(const ModelConfig& config, const EngineOptions& o) {
  const auto ctx = static_cast<int32_t>(o.ctx > 0 ? o.ctx : std::min<int64_t>(config.max_position_embeddings, 1 << 30));
  const int32_t chunk = std::min(ctx, o.prefill_chunk > 0 ? std::min(o.prefill_chunk, o.max_num_batched_tokens) : o.max_num_batched_tokens);
  const auto answers = [](const std::vector<int32_t>& rows) { return std::vector<int32_t>(rows.size(), 1); };
  std::vector<Batch> steps;
  std::vector<int32_t> prompts;
  for (int32_t left = o.max_num_batched_tokens; left > 0 && static_cast<int32_t>(prompts.size()) < o.max_num_seqs; left -= prompts.back())
    prompts.push_back(std::min(left, chunk));
  const std::vector<int32_t> mixed = one_prompt_beside_answers(o.max_num_batched_tokens, o.max_num_seqs, chunk);
  const std::vector<int32_t> singles(static_cast<size_t>(o.max_num_seqs), 1);
  const std::vector<int32_t> scored = one_prompt_beside_answers(max_scored_rows(o.max_num_batched_tokens, config.vocab_size), o.max_num_seqs, chunk);
  steps.push_back(step_of(prompts, answers(prompts), ctx));
  steps.push_back(step_of(mixed, answers(mixed), ctx));
  steps.push_back(step_of(singles, singles, ctx));
  steps.push_back(step_of({1}, {1}, ctx));
  steps.push_back(step_of(scored, scored, ctx));
  return steps;
}

uint64_t rope_bytes_per_tile(const ModelConfig& config) {
  std::vector<const std::vector<float>*> seen;
  uint64_t bytes = 0;
  for (const LayerConfig& layer : config.layers) {
    const std::vector<float>& freqs = layer.rope.freqs;
    if (std::any_of(seen.begin(), seen.end(), [&](const auto* other) { return *other == freqs; })) continue;
    seen.push_back(&freqs);
    bytes += 2 * sizeof(float) * freqs.size();
  }
  return bytes;
}

MemoryFootprint run_steps(const Model& model, Ops& ops, const EngineOptions& o) {
  const ModelConfig& config = model.config();
  MemoryFootprint f;
  f.layout = model.kv_layout(o.kv_dtype);
  f.max_positions = static_cast<int32_t>(std::min<int64_t>(config.max_position_embeddings, 1 << 30));
  f.weights = model.weight_bytes();
  f.weights_mapped = model.mapped_weight_bytes();
  f.per_layer_embeddings = model.per_layer_embedding_bytes();
  f.tables_per_tile = rope_bytes_per_tile(config);
  KvStore nothing(f.layout, 1);
  for (const Batch& step : largest_steps(config, o)) model.forward(ops, nothing, step);
  f.activations = ops.peak_step_bytes();
  return f;
}

void check_sizes(const EngineOptions& o) {
  if (o.max_num_seqs < 1 || o.max_num_batched_tokens < o.max_num_seqs || o.max_num_batched_tokens > 65536 || o.ctx < 0)
    fail(ErrorCode::invalid_argument, "max_num_seqs: {} sequences, steps of {} rows and a context of {} are no sizes of an engine", o.max_num_seqs,
         o.max_num_batched_tokens, o.ctx);
}

}  // namespace

MemoryFootprint rehearse_model(std::shared_ptr<const Checkpoint> checkpoint, Ops& ops, const EngineOptions& options) {
  check_sizes(options);
  const Rehearsal rehearsal(ops);
  const auto model = Model::load(std::move(checkpoint), ops);
  return run_steps(*model, ops, options);
}

MemoryFootprint rehearse_steps(const Model& model, Ops& ops, const EngineOptions& options) {
  check_sizes(options);
  const Rehearsal rehearsal(ops);
  return run_steps(model, ops, options);
}

MemoryQuestion memory_question(const MemoryFootprint& f, uint64_t limit, uint64_t loaded) {
  MemoryQuestion q;
  q.layout = f.layout;
  q.max_positions = f.max_positions;
  q.weights = f.weights;
  q.activations = f.activations;
  q.tables_per_tile = f.tables_per_tile;
  const uint64_t resident = resident_memory();
  q.program = resident - std::min(resident, loaded) + kTouchedLater;
  q.available = memory_allowance(limit);
  return q;
}

}  // namespace carat
