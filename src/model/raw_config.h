#pragma once
// What both kinds of files say, before it is checked and resolved. config_gguf.cpp and config_hf.cpp fill it; config.cpp finishes it.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"

namespace carat {

struct RawRope {
  double theta = 10000;
  double factor = 1;            // frequencies are divided by it
  double partial = 1;           // share of the head's pairs that turn (proportional)
  std::vector<float> divisors;  // GGUF's rope_freqs; empty: none
};

struct RawConfig {
  std::string source;  // file or folder, for messages
  std::string architecture, name;
  int64_t hidden_size = 0, num_hidden_layers = 0, vocab_size = 0, max_position_embeddings = 0, sliding_window = 0;
  int64_t hidden_size_per_layer_input = 0, num_experts = 0, top_k_experts = 0, moe_intermediate_size = 0, num_kv_shared_layers = 0;
  double rms_norm_eps = 1e-6, final_logit_softcapping = 0;
  double attention_scale = 1;
  bool has_v_norm = false, norm_weights_are_offsets = false;
  // [num_hidden_layers] each
  std::vector<bool> is_sliding, k_eq_v;
  std::vector<int64_t> num_attention_heads, num_key_value_heads, head_dim, intermediate_size;
  RawRope rope_sliding, rope_full;
  std::vector<int64_t> eos_token_ids, suppress_tokens;
  double temperature = -1, top_p = -1;
  int64_t top_k = -1;
};

// The number of layers must be known and sane before arrays of that length are made.
int64_t check_num_layers(int64_t n, const std::string& source);

RawConfig read_gguf_config(const Checkpoint& checkpoint);
RawConfig read_hf_config(const Checkpoint& checkpoint);

}  // namespace carat
