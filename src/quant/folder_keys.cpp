// config.json of a folder -> the metadata of a GGUF, as llama.cpp's converter writes it.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/gguf_write.h"
#include "model/raw_config.h"
#include "quant/model_id.h"
#include "quant/source.h"

namespace carat::quant {
namespace {

// Of the folder. One of the store has a commit for a name; the repository is above it.
std::string repository_name(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_filename() ? path : path.parent_path();
  std::string name = folder.filename().string();
  if (folder.parent_path().filename() == "snapshots") {
    name = folder.parent_path().parent_path().filename().string();  // models--OWNER--REPO
    if (const size_t at = name.rfind("--"); at != std::string::npos) name = name.substr(at + 2);
  }
  return name;
}

class Keys {
 public:
  Keys(GgufWriter& out, const std::string& architecture) : out_(out), prefix_(architecture + ".") {}
  void number(std::string_view key, int64_t v) { out_.add(prefix_ + std::string(key), static_cast<uint32_t>(v)); }
  void real(std::string_view key, double v) { out_.add(prefix_ + std::string(key), static_cast<float>(v)); }
  void text(std::string_view key, std::string_view v) { out_.add(prefix_ + std::string(key), v); }
  void flags(std::string_view key, const std::vector<bool>& v) { out_.add_array(prefix_ + std::string(key), v); }
  // One number where all layers agree, else a list.
  void per_layer(std::string_view key, const std::vector<int64_t>& v) {
    if (std::all_of(v.begin(), v.end(), [&](int64_t n) { return n == v[0]; })) return number(key, v[0]);
    const std::vector<int32_t> list(v.begin(), v.end());
    out_.add_array(prefix_ + std::string(key), list);
  }

 private:
  GgufWriter& out_;
  std::string prefix_;
};

// Of the first layer of the kind; of any if there is none.
int64_t head_dim(const RawConfig& r, bool sliding) {
  for (size_t i = 0; i < r.head_dim.size(); ++i)
    if (r.is_sliding[i] == sliding) return r.head_dim[i];
  return r.head_dim[0];
}

// A GGUF of Gemma 3 does not say the scale of attention: a reader takes it from the sizes.
void check_attention_scale(const RawConfig& r) {
  const double per_head =
      r.num_hidden_layers == 62 ? static_cast<double>(r.hidden_size) / static_cast<double>(r.num_attention_heads[0]) : static_cast<double>(r.head_dim[0]);
  if (!(std::fabs(r.attention_scale * std::sqrt(per_head) - 1) < 1e-6))
    fail(ErrorCode::unsupported, "{}: its query_pre_attn_scalar cannot be said in a GGUF, which takes {}; use the folder as it is", r.source, per_head);
}

void add_name(const Source& source, GgufWriter& out) {
  const std::string name = repository_name(source.checkpoint->path());
  const ModelId id = parse_model_id(name, parameters_of(source.tensors));
  out.add("general.name", title_of(name));
  const auto add = [&out](const char* key, const std::string& value) {
    if (!value.empty()) out.add(key, value);
  };
  add("general.version", id.version);
  add("general.finetune", id.finetune);
  add("general.basename", id.basename);
  add("general.size_label", id.size_label.empty() ? size_label_of(source.tensors) : id.size_label);
}

void add_gemma4(const RawConfig& r, Keys& k) {
  k.number("attention.shared_kv_layers", r.num_kv_shared_layers);
  k.number("embedding_length_per_layer_input", r.hidden_size_per_layer_input);
  k.flags("attention.sliding_window_pattern", r.is_sliding);
  k.number("attention.key_length_swa", head_dim(r, true));
  k.number("attention.value_length_swa", head_dim(r, true));
  if (r.num_experts > 0) k.number("expert_feed_forward_length", r.moe_intermediate_size);
  k.number("rope.dimension_count", head_dim(r, false));
  k.number("rope.dimension_count_swa", head_dim(r, true));
}

// Gemma 3's readers know that every sixth layer is a full one; another order is said.
void add_gemma3_order(const RawConfig& r, Keys& k) {
  bool usual = true;
  for (size_t i = 0; i < r.is_sliding.size(); ++i) usual = usual && r.is_sliding[i] == (i % 6 != 5);
  if (!usual) k.flags("attention.sliding_window_pattern", r.is_sliding);
}

}  // namespace

void write_folder_keys(const Source& source, int32_t file_type, GgufWriter& out) {
  const RawConfig r = read_hf_config(*source.checkpoint);
  const bool gemma4 = r.architecture == "gemma4";
  if (!gemma4) check_attention_scale(r);
  out.add("general.architecture", r.architecture);
  out.add("general.type", "model");
  if (r.top_k >= 0) out.add("general.sampling.top_k", static_cast<int32_t>(r.top_k));
  if (r.top_p >= 0) out.add("general.sampling.top_p", static_cast<float>(r.top_p));
  if (r.temperature >= 0) out.add("general.sampling.temp", static_cast<float>(r.temperature));
  add_name(source, out);
  Keys k(out, r.architecture);
  k.number("block_count", r.num_hidden_layers);
  k.number("context_length", r.max_position_embeddings);
  k.number("embedding_length", r.hidden_size);
  k.per_layer("feed_forward_length", r.intermediate_size);
  k.per_layer("attention.head_count", r.num_attention_heads);
  k.per_layer("attention.head_count_kv", r.num_key_value_heads);
  if (!gemma4 && r.rope_full.factor != 1) {  // Gemma 4 has it in rope_freqs
    k.text("rope.scaling.type", "linear");
    k.real("rope.scaling.factor", r.rope_full.factor);
  }
  k.real("rope.freq_base", r.rope_full.theta);
  k.real("rope.freq_base_swa", r.rope_sliding.theta);
  k.real("attention.layer_norm_rms_epsilon", r.rms_norm_eps);
  if (r.num_experts > 0) {
    k.number("expert_count", r.num_experts);
    k.number("expert_used_count", r.top_k_experts);
  }
  k.number("attention.key_length", head_dim(r, false));
  k.number("attention.value_length", head_dim(r, false));
  if (file_type >= 0) out.add("general.file_type", static_cast<uint32_t>(file_type));
  if (r.final_logit_softcapping > 0) k.real("final_logit_softcapping", r.final_logit_softcapping);
  k.number("attention.sliding_window", r.sliding_window);
  if (gemma4) {
    add_gemma4(r, k);
  } else {
    add_gemma3_order(r, k);
  }
  out.add("general.quantization_version", uint32_t{2});
  write_folder_vocabulary(source, out);
  if (!r.suppress_tokens.empty()) {
    const std::vector<int32_t> ids(r.suppress_tokens.begin(), r.suppress_tokens.end());
    out.add_array("tokenizer.ggml.suppress_tokens", ids);
  }
}

}  // namespace carat::quant
