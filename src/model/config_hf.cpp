// config.json and generation_config.json -> RawConfig. Keys as the published checkpoints and newer transformers write them; defaults are transformers' own.
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "model/raw_config.h"
#include "model/tensor_names.h"

namespace carat {
namespace {

class Object {
 public:
  Object(const Json& j, std::string where) : j_(j), where_(std::move(where)) {
    if (!j_.is_object()) fail(ErrorCode::corrupt, "{}: not a JSON object", where_);
  }
  const Json* get(const char* key) const {  // null counts as absent
    const auto it = j_.find(key);
    return it == j_.end() || it->is_null() ? nullptr : &*it;
  }
  int64_t integer(const char* key) const {
    const Json* v = get(key);
    if (!v) fail(ErrorCode::corrupt, "{}: key {} is missing", where_, key);
    return as_integer(*v, key);
  }
  int64_t integer(const char* key, int64_t otherwise) const {
    const Json* v = get(key);
    return v ? as_integer(*v, key) : otherwise;
  }
  double real(const char* key, double otherwise) const {
    const Json* v = get(key);
    if (!v) return otherwise;
    if (!v->is_number()) fail(ErrorCode::corrupt, "{}: key {} is not a number", where_, key);
    return v->get<double>();
  }
  bool boolean(const char* key, bool otherwise) const {
    const Json* v = get(key);
    if (!v) return otherwise;
    if (!v->is_boolean()) fail(ErrorCode::corrupt, "{}: key {} is neither true nor false", where_, key);
    return v->get<bool>();
  }
  std::string string(const char* key, const char* otherwise) const {
    const Json* v = get(key);
    if (!v) return otherwise;
    if (!v->is_string()) fail(ErrorCode::corrupt, "{}: key {} is not a string", where_, key);
    return v->get<std::string>();
  }
  // A number or a list of numbers.
  std::vector<int64_t> integers(const char* key) const {
    std::vector<int64_t> out;
    const Json* v = get(key);
    if (!v) return out;
    if (!v->is_array()) return {as_integer(*v, key)};
    for (const Json& x : *v) out.push_back(as_integer(x, key));
    return out;
  }
  const std::string& where() const { return where_; }

 private:
  int64_t as_integer(const Json& v, const char* key) const {
    if (!v.is_number_integer() || (v.is_number_unsigned() && v.get<uint64_t>() > uint64_t{1} << 62))
      fail(ErrorCode::corrupt, "{}: key {} is not a whole number", where_, key);
    return v.get<int64_t>();
  }
  const Json& j_;
  std::string where_;
};

// rope_parameters of one kind of layer. Types: default, linear, proportional.
RawRope read_rope(const Object& o, double theta) {
  RawRope r;
  r.theta = o.real("rope_theta", theta);
  const std::string type = o.string("rope_type", "default");
  if (type == "linear") {
    r.factor = o.real("factor", 1);
  } else if (type == "proportional") {
    r.partial = o.real("partial_rotary_factor", 1);
    r.factor = o.real("factor", 1);
  } else if (type != "default") {
    fail(ErrorCode::unsupported, "{}: rope type '{}' is not known", o.where(), type);
  }
  return r;
}

void read_ropes(const Object& text, RawConfig& r, bool gemma4) {
  if (const Json* parameters = text.get("rope_parameters")) {
    const Object o(*parameters, text.where() + ": rope_parameters");
    if (const Json* full = o.get("full_attention")) r.rope_full = read_rope(Object(*full, o.where() + ".full_attention"), 1e6);
    if (const Json* sliding = o.get("sliding_attention")) r.rope_sliding = read_rope(Object(*sliding, o.where() + ".sliding_attention"), 1e4);
    return;
  }
  r.rope_full.theta = text.real("rope_theta", 1e6);  // the form of older files
  r.rope_sliding.theta = text.real("rope_local_base_freq", 1e4);
  if (gemma4) r.rope_full.partial = 0.25;
  if (const Json* scaling = text.get("rope_scaling")) {
    const Object o(*scaling, text.where() + ": rope_scaling");
    const std::string type = o.string("rope_type", o.string("type", "default").c_str());
    if (type != "linear" && type != "default") fail(ErrorCode::unsupported, "{}: rope type '{}' is not known", o.where(), type);
    if (type == "linear") r.rope_full.factor = o.real("factor", 1);
  }
}

std::vector<bool> read_layer_types(const Object& text, size_t layers, int64_t period, bool last_is_full) {
  std::vector<bool> sliding(layers);
  const Json* types = text.get("layer_types");
  if (!types) {
    if (period < 1) fail(ErrorCode::corrupt, "{}: sliding_window_pattern is {}, not a period", text.where(), period);
    for (size_t i = 0; i < layers; ++i) sliding[i] = (static_cast<int64_t>(i) + 1) % period != 0;
    if (last_is_full) sliding.back() = false;
    return sliding;
  }
  if (!types->is_array() || types->size() != layers) fail(ErrorCode::corrupt, "{}: layer_types must list {} layers", text.where(), layers);
  for (size_t i = 0; i < layers; ++i) {
    const Json& t = (*types)[i];
    const std::string name = t.is_string() ? t.get<std::string>() : "?";
    if (name != "sliding_attention" && name != "full_attention") fail(ErrorCode::unsupported, "{}: layer {} is of kind '{}', not known", text.where(), i, name);
    sliding[i] = name == "sliding_attention";
  }
  return sliding;
}

}  // namespace

RawConfig read_hf_config(const Checkpoint& c) {
  RawConfig r;
  r.source = c.path().string();
  const auto file = c.side_file("config.json");
  if (!file) fail(ErrorCode::not_found, "{}: config.json is missing beside the weights", r.source);
  const Json whole = parse_json(*file, r.source + "/config.json");
  const Object top(whole, r.source + "/config.json");
  const Json* text_json = top.get("text_config");
  const Object text(text_json ? *text_json : whole, text_json ? top.where() + ": text_config" : top.where());

  const std::string type = text.string("model_type", "");
  const bool gemma4 = type == "gemma4_text" || type == "gemma4_unified_text" || type == "gemma4";
  if (!gemma4 && type != "gemma3_text" && type != "gemma3")
    fail(ErrorCode::unsupported, "{}: model_type '{}' is not one Carat runs (gemma3, gemma3_text, gemma4, gemma4_text, gemma4_unified)", text.where(), type);
  r.architecture = gemma4 ? "gemma4" : "gemma3";
  r.name = c.path().filename().string();
  if (const std::string act = text.string("hidden_activation", text.string("hidden_act", "gelu_pytorch_tanh").c_str()); act != "gelu_pytorch_tanh")
    fail(ErrorCode::unsupported, "{}: activation '{}' is not known", text.where(), act);
  if (text.boolean("attention_bias", false)) fail(ErrorCode::unsupported, "{}: attention_bias is not supported", text.where());
  if (text.real("attn_logit_softcapping", 0) != 0) fail(ErrorCode::unsupported, "{}: attn_logit_softcapping is not supported", text.where());

  r.num_hidden_layers = check_num_layers(gemma4 ? text.integer("num_hidden_layers") : text.integer("num_hidden_layers", 26), text.where());
  const size_t layers = static_cast<size_t>(r.num_hidden_layers);
  r.hidden_size = text.integer("hidden_size");
  r.max_position_embeddings = text.integer("max_position_embeddings", 131072);
  r.sliding_window = text.integer("sliding_window", gemma4 ? 512 : 4096);
  r.rms_norm_eps = text.real("rms_norm_eps", 1e-6);
  r.final_logit_softcapping = text.real("final_logit_softcapping", 0);
  r.is_sliding = read_layer_types(text, layers, text.integer("sliding_window_pattern", text.integer("_sliding_window_pattern", 6)), gemma4);
  read_ropes(text, r, gemma4);

  const int64_t heads = text.integer("num_attention_heads", 8), kv_heads = text.integer("num_key_value_heads", gemma4 ? 1 : 4);
  const int64_t head_dim = text.integer("head_dim", 256), width = text.integer("intermediate_size");
  r.num_attention_heads.assign(layers, heads);
  r.num_key_value_heads.assign(layers, kv_heads);
  r.head_dim.assign(layers, head_dim);
  r.intermediate_size.assign(layers, width);
  r.k_eq_v.assign(layers, false);
  if (gemma4) {
    r.has_v_norm = true;
    r.num_kv_shared_layers = text.integer("num_kv_shared_layers", 0);
    if (r.num_kv_shared_layers < 0 || r.num_kv_shared_layers >= r.num_hidden_layers)
      fail(ErrorCode::corrupt, "{}: num_kv_shared_layers is {} for {} layers", text.where(), r.num_kv_shared_layers, r.num_hidden_layers);
    r.hidden_size_per_layer_input = text.integer("hidden_size_per_layer_input", 0);
    const bool k_eq_v = text.boolean("attention_k_eq_v", false);
    const int64_t full_dim = text.integer("global_head_dim", head_dim), full_kv = text.integer("num_global_key_value_heads", kv_heads);
    for (size_t i = 0; i < layers; ++i) {
      if (r.is_sliding[i]) continue;
      r.head_dim[i] = full_dim;
      r.k_eq_v[i] = k_eq_v;
      if (k_eq_v) r.num_key_value_heads[i] = full_kv;  // ignored otherwise, as transformers does
    }
    if (const Json* per_layer = text.get("per_layer_config")) {
      const Object o(*per_layer, text.where() + ": per_layer_config");
      for (size_t i = 0; i < layers; ++i)
        if (const Json* one = o.get(std::to_string(i).c_str())) {
          const Object l(*one, o.where() + "." + std::to_string(i));
          r.head_dim[i] = l.integer("head_dim", r.head_dim[i]);
          r.num_key_value_heads[i] = l.integer("num_key_value_heads", r.num_key_value_heads[i]);
        }
    }
    if (text.boolean("use_double_wide_mlp", false))
      for (size_t i = 0; i < layers; ++i)
        if (static_cast<int64_t>(i) >= r.num_hidden_layers - r.num_kv_shared_layers)
          r.intermediate_size[i] = width > 0 && width < (int64_t{1} << 30) ? 2 * width : -1;
    if (text.boolean("enable_moe_block", false)) {
      r.num_experts = text.integer("num_experts");
      r.top_k_experts = text.integer("top_k_experts");
      r.moe_intermediate_size = text.integer("moe_intermediate_size");
    }
  } else {
    r.norm_weights_are_offsets = true;
    const double scalar = text.real("query_pre_attn_scalar", 256);
    r.attention_scale = scalar > 0 ? 1.0 / std::sqrt(scalar) : -1;
  }

  // The tokenizer's size is what counts; the table may be padded beyond it.
  const int64_t stated = text.integer("vocab_size", gemma4 ? 262144 : 262208);
  const TensorInfo& embedding = c.at(TensorNames(c).in_file("token_embd.weight"));
  if (embedding.shape.size() != 2 || embedding.shape[0] < stated)
    fail(ErrorCode::corrupt, "{}: tensor {} has fewer rows than vocab_size {}", r.source, embedding.name, stated);
  r.vocab_size = stated;

  r.eos_token_ids = text.integers("eos_token_id");
  if (top.get("eos_token_id")) r.eos_token_ids = top.integers("eos_token_id");
  if (const auto generation = c.side_file("generation_config.json")) {
    const Json g = parse_json(*generation, r.source + "/generation_config.json");
    const Object o(g, r.source + "/generation_config.json");
    if (o.get("eos_token_id")) r.eos_token_ids = o.integers("eos_token_id");
    r.suppress_tokens = o.integers("suppress_tokens");
    r.temperature = o.real("temperature", -1);
    r.top_p = o.real("top_p", -1);
    r.top_k = o.integer("top_k", -1);
  }
  return r;
}

}  // namespace carat
