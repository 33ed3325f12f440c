#pragma once
// The step loop over something that can run a batch. Engine gives it a model; tests give it a fake whose answers depend on what lies in the cache.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/batch_builder.h"
#include "engine/engine.h"
#include "engine/kv_pool.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "tensor/tensor.h"

namespace carat {

// Writes the rows' K/V and gives logits [logit_rows, vocab], valid until the next call. May throw: the requests at fault end with an error.
using ForwardFn = std::function<Tensor(const Batch&, KvStore&)>;

struct EngineModel {
  int32_t vocab_size = 0;
  std::vector<int32_t> eos_token_ids;
  std::vector<int32_t> suppress_tokens;
  std::shared_ptr<const Tokenizer> tokenizer;  // may be null: then no text and no stop strings
  std::unique_ptr<KvStore> store;
  ForwardFn forward;
  ForEach for_each;  // the threads that rows of logits are shared over between forward passes; empty: this one
};

class EngineCore {
 public:
  // options.ctx is resolved: at least 1.
  EngineCore(EngineModel model, const EngineOptions& options);

  RequestId submit(Request request);
  void cancel(RequestId id);
  bool step();

  EngineStats stats() const;
  const EngineOptions& options() const { return options_; }
  const KvPool& pool() const { return pool_; }
  void audit() const;  // KvPool::audit over all sequences

 private:
  void validate(const Request& request) const;
  std::unique_ptr<Sequence> make_sequence(Request request);
  bool take_inbox();
  void run(std::span<const ScheduledRows> plan);
  bool try_forward(std::span<const ScheduledRows> plan, Tensor& logits, std::string& error);
  void consume(const ScheduledRows& item, Tensor logits, int64_t row);
  void score_prompt(Sequence& s, int32_t position, float* row);
  void add_token(Sequence& s, float* row);
  void finish(Sequence& s, FinishReason reason, const std::string& error = {});
  void deliver(Sequence& s);
  void publish_stats();

  EngineModel model_;
  EngineOptions options_;
  KvPool pool_;
  Scheduler scheduler_;
  Sampler sampler_;
  Batch batch_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;
  std::vector<RequestId> finished_;  // of this step, to be forgotten at its end
  int64_t steps_ = 0;
  int64_t rows_ = 0;

  std::atomic<RequestId> next_id_{1};
  mutable std::mutex mutex_;  // guards what other threads see: the inbox and the figures
  std::vector<std::unique_ptr<Sequence>> inbox_;
  std::vector<RequestId> cancelled_;
  EngineStats stats_;
  std::vector<std::unique_ptr<Sequence>> arriving_;  // the engine's side of the inbox
  std::vector<RequestId> leaving_;
};

}  // namespace carat
