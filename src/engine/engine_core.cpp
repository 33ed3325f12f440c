#include "engine/engine_core.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "engine/memory_plan.h"

namespace carat {
namespace {

SchedulerLimits limits_of(const EngineOptions& options, int32_t vocab_size) {
  SchedulerLimits limits;
  limits.max_num_seqs = options.max_num_seqs;
  limits.max_num_batched_tokens = options.max_num_batched_tokens;
  limits.prefill_chunk = options.prefill_chunk;
  limits.max_scored_rows = max_scored_rows(options.max_num_batched_tokens, vocab_size);
  return limits;
}

uint64_t seed_from_clock(RequestId id) { return random_u64(static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()), id); }

}  // namespace

EngineCore::EngineCore(EngineModel model, const EngineOptions& options)
    : model_(std::move(model)),
      options_(options),
      pool_(model_.store->layout(), model_.store->num_slots(), options.prefix_cache),
      scheduler_(limits_of(options, model_.vocab_size), pool_),
      sampler_(model_.vocab_size, model_.for_each) {
  check(options_.ctx >= 1 && options_.max_num_seqs >= 1 && options_.max_num_batched_tokens >= options_.max_num_seqs,
        "engine options are resolved and in range");
  publish_stats();
}

// ---- requests

void EngineCore::validate(const Request& r) const {
  if (r.token_ids.empty()) fail(ErrorCode::invalid_argument, "prompt: it is empty; at least one token is needed");
  const auto length = static_cast<int64_t>(r.token_ids.size());
  if (length > options_.ctx) {
    fail(ErrorCode::invalid_argument, "prompt: it has {} tokens, the context holds {}; shorten it or raise --ctx", length, options_.ctx);
  }
  if (length == options_.ctx && r.sampling.max_tokens != 0) {
    fail(ErrorCode::invalid_argument, "prompt: its {} tokens fill the context of {}, with no room to answer; shorten it or raise --ctx", length, options_.ctx);
  }
  for (const int32_t id : r.token_ids) {
    if (id < 0 || id >= model_.vocab_size) {
      fail(ErrorCode::invalid_argument, "prompt: token {} is outside the vocabulary (0..{})", id, model_.vocab_size - 1);
    }
  }
  r.sampling.validate(model_.vocab_size);
  if (!r.sampling.stop.empty() && !model_.tokenizer) fail(ErrorCode::invalid_argument, "stop: this model has no vocabulary; use stop_token_ids");
}

std::unique_ptr<Sequence> EngineCore::make_sequence(Request request) {
  auto s = std::make_unique<Sequence>();
  s->submitted = std::chrono::steady_clock::now();
  s->id = next_id_.fetch_add(1);
  s->tokens = std::move(request.token_ids);
  s->request = std::move(request);
  const SamplingParams& params = s->request.sampling;
  s->num_prompt = s->length();
  s->max_length = params.max_tokens < 0 ? options_.ctx : static_cast<int32_t>(std::min<int64_t>(options_.ctx, int64_t{s->num_prompt} + params.max_tokens));
  const int32_t wants = scheduler_.slots_at_most(s->max_length);
  if (wants > pool_.num_slots()) {
    fail(ErrorCode::invalid_argument, "request: {} tokens need {} of KV cache, there are {}; ask for fewer tokens or raise kv_bytes", s->max_length,
         format_bytes(static_cast<uint64_t>(wants) * static_cast<uint64_t>(pool_.layout().slot_bytes())),
         format_bytes(static_cast<uint64_t>(pool_.num_slots()) * static_cast<uint64_t>(pool_.layout().slot_bytes())));
  }
  const int32_t foreseen = std::min(s->max_length, s->num_prompt + 4096);
  s->tokens.reserve(static_cast<size_t>(foreseen));
  pool_.reserve(s->blocks, foreseen);
  s->blocks.salt = s->request.cache_salt;
  s->blocks.shared = s->request.use_prefix_cache;
  s->blocks.prompt_length = s->num_prompt;
  s->blocks.resume_points = pool_.resume_points(s->num_prompt, s->request.resume_points);
  s->seed = params.seed ? *params.seed : seed_from_clock(s->id);
  if (LogitRules::has_penalties(params)) {
    s->history.emplace(model_.vocab_size);
    s->history->add_prompt(s->tokens);
  }
  if (params.prompt_logprobs >= 0) {
    s->prompt_logprobs.reserve(static_cast<size_t>(s->num_prompt));
    s->prompt_logprobs.emplace_back();  // nothing comes before the first token
  }
  if (model_.tokenizer) {
    s->detokenizer.emplace(*model_.tokenizer, params.show_special);
    if (!params.stop.empty()) s->stop_matcher.emplace(params.stop);
  }
  s->output.id = s->id;
  s->output.prompt_tokens = s->num_prompt;
  return s;
}

RequestId EngineCore::submit(Request request) {
  validate(request);
  std::unique_ptr<Sequence> s = make_sequence(std::move(request));
  const RequestId id = s->id;
  const std::lock_guard lock(mutex_);
  inbox_.push_back(std::move(s));
  ++stats_.waiting;
  return id;
}

void EngineCore::cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  cancelled_.push_back(id);
}

bool EngineCore::take_inbox() {
  {
    const std::lock_guard lock(mutex_);
    std::swap(inbox_, arriving_);
    std::swap(cancelled_, leaving_);
  }
  for (std::unique_ptr<Sequence>& s : arriving_) {
    scheduler_.add(s.get());
    sequences_.emplace(s->id, std::move(s));
  }
  bool any = !arriving_.empty();
  for (const RequestId id : leaving_) {
    const auto it = sequences_.find(id);
    if (it == sequences_.end()) continue;  // it has ended already
    finish(*it->second, FinishReason::cancelled);
    any = true;
  }
  arriving_.clear();
  leaving_.clear();
  return any;
}

// ---- a step

bool EngineCore::step() {
  bool any = take_inbox();
  const std::vector<ScheduledRows>& plan = scheduler_.schedule();
  if (!plan.empty()) {
    any = true;
    run(plan);
  }
  for (const RequestId id : finished_) sequences_.erase(id);
  finished_.clear();
  if (any) publish_stats();
  return any;
}

bool EngineCore::try_forward(std::span<const ScheduledRows> plan, Tensor& logits, std::string& error) {
  try {
    build_batch(plan, batch_);
    logits = model_.forward(batch_, *model_.store);
    const auto wanted = static_cast<int64_t>(batch_.logit_rows.size());
    check(logits.rows == wanted && (wanted == 0 || logits.cols == model_.vocab_size), "a forward pass gives the logits that were asked for");
    return true;
  } catch (const std::exception& e) {
    error = e.what();
    return false;
  }
}

void EngineCore::run(std::span<const ScheduledRows> plan) {
  for (const ScheduledRows& item : plan) rows_ += item.rows;
  ++steps_;
  Tensor logits;
  std::string error;
  if (try_forward(plan, logits, error)) {
    int64_t row = 0;
    for (const ScheduledRows& item : plan) {
      consume(item, logits, row);
      row += item.logit_rows;
    }
    return;
  }
  // Whose fault was it? Each sequence by itself gives the same bits, so the others lose nothing but time.
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan.size() == 1 || !try_forward(plan.subspan(i, 1), logits, error)) {
      finish(*plan[i].sequence, FinishReason::error, error);
    } else {
      consume(plan[i], logits, 0);
    }
  }
}

void EngineCore::consume(const ScheduledRows& item, Tensor logits, int64_t row) {
  Sequence& s = *item.sequence;
  try {
    const int32_t end = s.num_computed + item.rows;
    pool_.commit(s.blocks, s.tokens, end);
    s.num_computed = end;
    for (int32_t position = end - item.logit_rows; position < end; ++position, ++row) {
      float* x = logits.row(row);
      suppress(x, model_.vocab_size, model_.suppress_tokens);
      if (s.wants_prompt_logprobs()) score_prompt(s, position, x);
      if (position + 1 == s.length() && s.num_output() < s.max_length - s.num_prompt) {
        add_token(s, x);
        break;
      }
    }
    if (s.state == SequenceState::running && s.num_computed == s.length()) finish(s, FinishReason::length);  // nothing was to be drawn
  } catch (const std::exception& e) {
    finish(s, FinishReason::error, e.what());
  }
}

void EngineCore::score_prompt(Sequence& s, int32_t position, float* row) {
  check(position == s.prompt_rows_done, "a prompt is scored in order");
  const int32_t top = s.request.sampling.prompt_logprobs;
  ++s.prompt_rows_done;
  if (position + 1 < s.num_prompt) {
    s.prompt_logprobs.emplace_back(sampler_.logprob(row, s.tokens[static_cast<size_t>(position) + 1], top));
    return;
  }
  s.output.next = sampler_.logprob(row, -1, top);
  s.output.prompt_logprobs = std::move(s.prompt_logprobs);
}

void EngineCore::add_token(Sequence& s, float* row) {
  const SamplingParams& params = s.request.sampling;
  const int32_t id = sampler_.sample(row, params, s.history ? &*s.history : nullptr, s.seed, s.length());
  if (params.logprobs >= 0) s.output.logprobs.push_back(sampler_.logprob(row, id, params.logprobs));
  s.tokens.push_back(id);
  if (s.history) s.history->add_output(id);
  s.output.token_ids.push_back(id);
  if (s.num_output() == 1) s.output.first_token_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - s.submitted).count();

  const auto in = [id](const std::vector<int32_t>& ids) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  const bool is_stop = in(params.stop_token_ids) || (!params.ignore_eos && in(model_.eos_token_ids));
  FinishReason reason = is_stop ? FinishReason::stop : s.length() >= s.max_length ? FinishReason::length : FinishReason::none;
  if (s.detokenizer && !is_stop && id < model_.tokenizer->vocab_size()) {
    std::string text = s.detokenizer->push(id);
    if (s.stop_matcher) {
      StopMatcher::Result result = s.stop_matcher->push(text);
      text = std::move(result.text);
      if (result.stopped) {
        s.stop_matcher.reset();  // what is held back is not part of the text
        s.detokenizer.reset();
        reason = FinishReason::stop;
      }
    }
    s.output.text += text;
  }
  if (reason != FinishReason::none) {
    finish(s, reason);
  } else {
    deliver(s);
  }
}

void EngineCore::finish(Sequence& s, FinishReason reason, const std::string& error) {
  if (s.state == SequenceState::finished) return;
  scheduler_.remove(&s);
  finished_.push_back(s.id);
  s.output.finish = reason;
  s.output.error = error;
  if (s.detokenizer) {
    std::string text = s.detokenizer->flush();
    if (s.stop_matcher) {
      StopMatcher::Result result = s.stop_matcher->push(text);
      text = std::move(result.text);
      if (!result.stopped) text += s.stop_matcher->flush();
      if (result.stopped && reason == FinishReason::length) s.output.finish = FinishReason::stop;
    }
    s.output.text += text;
  }
  deliver(s);
}

void EngineCore::deliver(Sequence& s) {
  RequestOutput& out = s.output;
  out.cached_tokens = s.cached_tokens;
  out.completion_tokens = s.num_output();
  try {
    if (s.request.on_output) s.request.on_output(out);
  } catch (const std::exception& e) {
    log::error("a request's output callback failed; the request ends", {{"request", s.id}, {"what", e.what()}});
    s.request.on_output = nullptr;
    finish(s, FinishReason::error, e.what());
  }
  out.text.clear();
  out.token_ids.clear();
  out.logprobs.clear();
  out.prompt_logprobs.clear();
  out.next.reset();
}

// ---- figures

void EngineCore::publish_stats() {
  const std::lock_guard lock(mutex_);
  stats_.steps = steps_;
  stats_.rows = rows_;
  stats_.preemptions = scheduler_.preemptions();
  stats_.prefix_hit_tokens = scheduler_.prefix_hit_tokens();
  stats_.running = static_cast<int32_t>(scheduler_.running().size());
  stats_.waiting = static_cast<int32_t>(scheduler_.waiting().size() + inbox_.size());
  stats_.slots_used = pool_.held_slots();
  stats_.slots_total = pool_.num_slots();
}

EngineStats EngineCore::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void EngineCore::audit() const {
  std::vector<const SequenceBlocks*> held;
  for (const auto& [id, s] : sequences_) held.push_back(&s->blocks);
  pool_.audit(held);
}

}  // namespace carat
