#pragma once
// The weights of a model, placed on a backend. Read-only after loading.
#include <functional>
#include <memory>
#include <vector>

#include "backend/ops.h"
#include "formats/checkpoint.h"
#include "model/config.h"

namespace carat {

using Vector = std::vector<float>;  // norm weights and the like

struct LayerWeights {
  Vector input_norm, post_attention_norm, pre_feedforward_norm, post_feedforward_norm;  // [D]
  Linear q_proj, k_proj, v_proj, o_proj;
  Vector q_norm, k_norm;  // [head_dim]
  GatedMlp mlp;
  float layer_scalar = 1.0f;
  // experts
  Linear router;        // [E, D]
  Vector router_scale;  // [D], with 1 / sqrt(D) folded in
  ExpertStack experts;
  Vector pre_feedforward_norm_2, post_feedforward_norm_1, post_feedforward_norm_2;  // [D]
  // per-layer input
  Linear per_layer_input_gate;       // [P, D]
  Linear per_layer_projection;       // [D, P]
  Vector post_per_layer_input_norm;  // [D]
};

struct Weights {
  std::shared_ptr<const Checkpoint> checkpoint;  // keeps the file open: the per-layer table is read from it row by row
  Linear embed_tokens;                           // [V, D]; also the head when lm_head is absent
  Linear lm_head;
  Vector norm;                        // [D]
  TensorInfo embed_tokens_per_layer;  // [V, L * P] in the file
  float embed_tokens_per_layer_factor = 1.0f;
  Linear per_layer_model_projection[2];  // rows of the layers that own K/V, rows of those that share: [layers * P, D] each
  Vector per_layer_projection_norm;      // [P]
  std::vector<LayerWeights> layers;
  uint64_t bytes = 0;         // resident
  uint64_t mapped_bytes = 0;  // of them those that are pages of the file
};

std::unique_ptr<Weights> load_weights(std::shared_ptr<const Checkpoint> checkpoint, ModelConfig& config, Ops& ops,
                                      const std::function<void(uint64_t, uint64_t)>& progress);

}  // namespace carat
