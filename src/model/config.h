#pragma once
// What a checkpoint says about the model, resolved layer by layer, so that no code asks for a model's name.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/kv_store.h"
#include "backend/specs.h"

namespace carat {

class Checkpoint;

struct LayerConfig {
  AttentionSpec attn;
  RopeSpec rope;
  bool owns_kv = true;  // false: reads the K/V of an earlier layer
  bool k_eq_v = false;  // no v_proj: V is k_proj's output
  bool has_v_norm = false;
  int64_t intermediate_size = 0;
  bool has_experts = false;
  bool has_ple = false;  // per-layer input embeddings
};

struct ModelConfig {
  std::string architecture;  // "gemma3", "gemma4": for people to read, never tested by code
  std::string name;
  int64_t hidden_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  float rms_norm_eps = 1e-6f;
  float final_logit_softcapping = 0;        // 0: none
  float embed_scale = 1;                    // sqrt(hidden_size), in f32
  int64_t hidden_size_per_layer_input = 0;  // P, 0: none
  int64_t num_experts = 0;
  int64_t top_k_experts = 0;
  int64_t moe_intermediate_size = 0;
  int64_t first_shared_layer = 0;  // layers from here on own no K/V; = num_hidden_layers when all do
  int32_t sliding_window = 0;
  bool norm_weights_are_offsets = false;  // the file keeps w - 1 (Gemma 3 safetensors); the loader adds it back
  std::vector<LayerConfig> layers;
  std::vector<int32_t> eos_token_ids;    // generation_config over config over the file's tokenizer
  std::vector<int32_t> suppress_tokens;  // never produced
  // Defaults for sampling that the checkpoint states; negative = not stated.
  float default_temperature = -1, default_top_p = -1;
  int32_t default_top_k = -1;

  KvGroupShape kv_group(int32_t group) const;
};

// Reads, completes and validates. Every number is range-checked; fails with corrupt or unsupported, naming key and file.
std::unique_ptr<ModelConfig> read_config(const Checkpoint& checkpoint);

}  // namespace carat
