#pragma once
// A loaded model: config, weights on a backend, and the forward pass.
#include <functional>
#include <memory>

#include "backend/ops.h"
#include "model/config.h"

namespace carat {

class Checkpoint;
struct Weights;

class Model {
 public:
  // progress(done, total) in bytes, called from the loading thread; may be empty.
  static std::unique_ptr<Model> load(std::shared_ptr<const Checkpoint> checkpoint, Ops& ops, const std::function<void(uint64_t, uint64_t)>& progress = {});
  // From what read_config() and load_weights() gave, for callers that change something in between. The weights must have been loaded for this config.
  static std::unique_ptr<Model> from_parts(std::unique_ptr<ModelConfig> config, std::unique_ptr<Weights> weights);
  ~Model();

  const ModelConfig& config() const { return *config_; }
  const Weights& weights() const { return *weights_; }
  KvLayout kv_layout(DType dtype) const;
  uint64_t weight_bytes() const;               // resident
  uint64_t mapped_weight_bytes() const;        // of them those that are pages of the file
  uint64_t per_layer_embedding_bytes() const;  // in the file, never resident

  // Runs the rows of a batch (written to the cache) and gives logits [logit_rows, vocab] in that order, valid until the next forward().
  // suppress_tokens are not applied here. logit_rows may be empty: then a Tensor without rows.
  Tensor forward(Ops& ops, KvStore& kv, const Batch& batch) const;

 private:
  Model() = default;
  std::unique_ptr<ModelConfig> config_;
  std::unique_ptr<Weights> weights_;
};

}  // namespace carat
