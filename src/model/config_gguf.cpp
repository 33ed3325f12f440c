// GGUF metadata -> RawConfig. Keys and their defaults: docs/formats.md.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/raw_config.h"

namespace carat {
namespace {

class Keys {
 public:
  Keys(const Checkpoint& c, std::string prefix, std::string source) : c_(c), prefix_(std::move(prefix) + "."), source_(std::move(source)) {}

  int64_t integer(const char* key) const {
    const auto v = c_.meta_int(prefix_ + key);
    if (!v) fail(ErrorCode::corrupt, "{}: metadata key {}{} is missing; the file is not a complete model", source_, prefix_, key);
    return *v;
  }
  int64_t integer(const char* key, int64_t otherwise) const { return c_.meta_int(prefix_ + key).value_or(otherwise); }
  double real(const char* key, double otherwise) const { return c_.meta_float(prefix_ + key).value_or(otherwise); }
  bool is_array(const char* key) const {
    const MetaValue* v = c_.meta(prefix_ + key);
    return v && v->gguf_type == 9;
  }
  // One number for all layers or an array of them.
  std::vector<int64_t> per_layer(const char* key, int64_t layers) const {
    if (!is_array(key)) return std::vector<int64_t>(static_cast<size_t>(layers), integer(key));
    std::vector<int64_t> v = *c_.meta_ints(prefix_ + key);
    if (static_cast<int64_t>(v.size()) != layers)
      fail(ErrorCode::corrupt, "{}: metadata key {}{} has {} entries for {} layers", source_, prefix_, key, v.size(), layers);
    return v;
  }
  std::vector<bool> sliding_pattern(int64_t layers, int64_t default_period) const {
    std::vector<bool> sliding(static_cast<size_t>(layers));
    if (is_array("attention.sliding_window_pattern")) {
      const std::vector<int64_t> v = per_layer("attention.sliding_window_pattern", layers);
      for (size_t i = 0; i < v.size(); ++i) sliding[i] = v[i] != 0;
      return sliding;
    }
    const int64_t period = integer("attention.sliding_window_pattern", default_period);
    if (period < 1) fail(ErrorCode::corrupt, "{}: metadata key {}attention.sliding_window_pattern is {}, not a period", source_, prefix_, period);
    for (int64_t i = 0; i < layers; ++i) sliding[static_cast<size_t>(i)] = i % period != period - 1;
    return sliding;
  }

 private:
  const Checkpoint& c_;
  std::string prefix_, source_;
};

// A model that has a chat format also ends with its turn, and where it waits for a tool; the file names one end at most.
void add_turn_ends(const Checkpoint& c, std::vector<int64_t>& ids) {
  const MetaStrings* tokens = c.meta_strings("tokenizer.ggml.tokens");
  const auto kinds = c.meta_ints("tokenizer.ggml.token_type");
  if (!tokens || !kinds || kinds->size() != tokens->size()) return;
  for (size_t i = 0; i < tokens->size(); ++i) {
    if ((*kinds)[i] != 3 && (*kinds)[i] != 4) continue;  // control, user-defined
    const std::string_view t = (*tokens)[i];
    if (t != "<eos>" && t != "<turn|>" && t != "<end_of_turn>" && t != "<|tool_response>") continue;
    if (std::find(ids.begin(), ids.end(), static_cast<int64_t>(i)) == ids.end()) ids.push_back(static_cast<int64_t>(i));
  }
}

}  // namespace

RawConfig read_gguf_config(const Checkpoint& c) {
  RawConfig r;
  r.source = c.path().string();
  const auto arch = c.meta_string("general.architecture");
  if (!arch) fail(ErrorCode::corrupt, "{}: metadata key general.architecture is missing; the file is not a complete model", r.source);
  if (*arch == "gemma4-assistant")
    fail(ErrorCode::unsupported, "{}: a drafter (gemma4-assistant) cannot run by itself; give the model it drafts for", r.source);
  if (*arch != "gemma3" && *arch != "gemma4") fail(ErrorCode::unsupported, "{}: architecture '{}' is not one Carat runs (gemma3, gemma4)", r.source, *arch);
  const bool gemma4 = *arch == "gemma4";
  r.architecture = *arch;
  r.name = c.meta_string("general.name").value_or("");
  const Keys k(c, *arch, r.source);
  r.num_hidden_layers = check_num_layers(k.integer("block_count"), r.source);
  const size_t layers = static_cast<size_t>(r.num_hidden_layers);
  r.hidden_size = k.integer("embedding_length");
  r.max_position_embeddings = k.integer("context_length");
  r.sliding_window = k.integer("attention.sliding_window", 0);
  r.rms_norm_eps = k.real("attention.layer_norm_rms_epsilon", 1e-6);
  r.final_logit_softcapping = k.real("final_logit_softcapping", 0);
  r.num_attention_heads = k.per_layer("attention.head_count", r.num_hidden_layers);
  r.num_key_value_heads = k.per_layer("attention.head_count_kv", r.num_hidden_layers);
  r.intermediate_size = k.per_layer("feed_forward_length", r.num_hidden_layers);
  r.is_sliding = k.sliding_pattern(r.num_hidden_layers, 6);
  r.rope_full.theta = k.real("rope.freq_base", 1e6);
  r.rope_sliding.theta = k.real("rope.freq_base_swa", 1e4);
  const TensorInfo* embedding = c.find("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    fail(ErrorCode::corrupt, "{}: tensor token_embd.weight is missing or not a matrix; a file with a vocabulary only cannot be run", r.source);
  r.vocab_size = embedding->shape[0];
  r.has_v_norm = gemma4;
  r.k_eq_v.assign(layers, false);

  const int64_t key_length = k.integer("attention.key_length");
  if (k.integer("attention.value_length", key_length) != key_length) fail(ErrorCode::unsupported, "{}: keys and values of different sizes", r.source);
  r.head_dim.assign(layers, key_length);
  if (gemma4) {
    const int64_t swa = k.integer("attention.key_length_swa", key_length);
    for (size_t i = 0; i < layers; ++i)
      if (r.is_sliding[i]) r.head_dim[i] = swa;
    r.attention_scale = 1;
    r.num_kv_shared_layers = k.integer("attention.shared_kv_layers", 0);
    r.hidden_size_per_layer_input = k.integer("embedding_length_per_layer_input", 0);
    r.num_experts = k.integer("expert_count", 0);
    if (r.num_experts > 0) {
      r.top_k_experts = k.integer("expert_used_count");
      const std::vector<int64_t> widths = k.per_layer("expert_feed_forward_length", r.num_hidden_layers);
      if (std::any_of(widths.begin(), widths.end(), [&](int64_t w) { return w != widths[0]; }))
        fail(ErrorCode::unsupported, "{}: experts of different widths in different layers", r.source);
      r.moe_intermediate_size = widths[0];
    }
    const TensorInfo* freqs = c.find("rope_freqs.weight");
    if (!freqs) fail(ErrorCode::corrupt, "{}: tensor rope_freqs.weight is missing; convert the model again", r.source);
    if (freqs->elements() > 4096) fail(ErrorCode::corrupt, "{}: tensor rope_freqs.weight has {} entries", r.source, freqs->elements());
    r.rope_full.divisors = freqs->to_f32();
    for (size_t i = 0; i < layers; ++i) {  // full layers without a v_proj take V from k_proj
      const std::string block = "blk." + std::to_string(i) + ".";
      r.k_eq_v[i] = !r.is_sliding[i] && !c.find(block + "attn_v.weight") && !c.find(block + "attn_qkv.weight");
    }
    if (const auto suppress = c.meta_ints("tokenizer.ggml.suppress_tokens")) r.suppress_tokens = *suppress;
  } else {
    // The scale is not stored: 1 / sqrt(head size), but the 27B (62 layers) uses hidden size / heads.
    const double per_head = r.num_hidden_layers == 62 && r.num_attention_heads[0] > 0
                                ? static_cast<double>(r.hidden_size) / static_cast<double>(r.num_attention_heads[0])
                                : static_cast<double>(key_length);
    r.attention_scale = per_head > 0 ? 1.0 / std::sqrt(per_head) : -1;
    const auto scaling = c.meta_string("gemma3.rope.scaling.type");
    if (scaling && *scaling != "linear" && *scaling != "none") fail(ErrorCode::unsupported, "{}: rope scaling '{}' is not known", r.source, *scaling);
    if (scaling && *scaling == "linear") r.rope_full.factor = k.real("rope.scaling.factor", 1);
  }

  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (const auto id = c.meta_int(key)) r.eos_token_ids.push_back(*id);
  if (c.meta_string("tokenizer.chat_template")) add_turn_ends(c, r.eos_token_ids);
  r.temperature = c.meta_float("general.sampling.temp").value_or(-1);
  r.top_p = c.meta_float("general.sampling.top_p").value_or(-1);
  r.top_k = c.meta_int("general.sampling.top_k").value_or(-1);
  return r;
}

}  // namespace carat
