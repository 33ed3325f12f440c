#include "model/config.h"

#include <cmath>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/raw_config.h"

namespace carat {
namespace {

int64_t in_range(int64_t v, int64_t lo, int64_t hi, const char* what, const std::string& source) {
  if (v < lo || v > hi) fail(ErrorCode::corrupt, "{}: {} is {}, outside {}..{}; the file is damaged or of an unknown kind", source, what, v, lo, hi);
  return v;
}

double in_range(double v, double lo, double hi, const char* what, const std::string& source) {
  if (!(v >= lo && v <= hi)) fail(ErrorCode::corrupt, "{}: {} is {}, outside {}..{}; the file is damaged or of an unknown kind", source, what, v, lo, hi);
  return v;
}

RopeSpec make_rope(const RawRope& raw, int64_t head_dim, const std::string& source) {
  in_range(raw.theta, 1.0, 1e12, "rope theta", source);
  in_range(raw.factor, 1e-3, 1e6, "rope factor", source);
  in_range(raw.partial, 0.0, 1.0, "partial rotary factor", source);
  const int64_t half = head_dim / 2;
  int64_t pairs = static_cast<int64_t>(raw.partial * static_cast<double>(half));
  if (!raw.divisors.empty() && static_cast<int64_t>(raw.divisors.size()) != half)
    fail(ErrorCode::corrupt, "{}: rope_freqs.weight has {} entries where the head needs {}", source, raw.divisors.size(), half);
  RopeSpec spec;
  for (int64_t i = 0; i < pairs; ++i) {
    double f = 1.0 / std::pow(raw.theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim)) / raw.factor;
    if (!raw.divisors.empty()) {
      const double d = raw.divisors[static_cast<size_t>(i)];
      if (!(d >= 1e-6)) fail(ErrorCode::corrupt, "{}: rope_freqs.weight holds {} at {}, outside 1e-6 and up", source, d, i);
      if (d > 1e20) {  // "never turns"; only a tail may be so
        for (size_t j = static_cast<size_t>(i); j < raw.divisors.size(); ++j)
          if (!(raw.divisors[j] > 1e20f)) fail(ErrorCode::unsupported, "{}: rope_freqs.weight turns pairs behind pairs that do not turn", source);
        break;
      }
      f /= d;
    }
    spec.freqs.push_back(static_cast<float>(f));
  }
  return spec;
}

std::vector<int32_t> token_ids(const std::vector<int64_t>& ids, int64_t vocab, const char* what, const std::string& source) {
  std::vector<int32_t> out;
  for (int64_t id : ids) out.push_back(static_cast<int32_t>(in_range(id, 0, vocab - 1, what, source)));
  return out;
}

}  // namespace

int64_t check_num_layers(int64_t n, const std::string& source) { return in_range(n, 1, 512, "number of layers", source); }

std::unique_ptr<ModelConfig> read_config(const Checkpoint& checkpoint) {
  const RawConfig raw = checkpoint.kind() == CheckpointKind::gguf ? read_gguf_config(checkpoint) : read_hf_config(checkpoint);
  const std::string& s = raw.source;
  auto config = std::make_unique<ModelConfig>();
  ModelConfig& c = *config;
  c.architecture = raw.architecture, c.name = raw.name;
  c.hidden_size = in_range(raw.hidden_size, 1, 65536, "hidden size", s);
  c.num_hidden_layers = check_num_layers(raw.num_hidden_layers, s);
  c.vocab_size = in_range(raw.vocab_size, 1, int64_t{1} << 21, "vocabulary size", s);
  c.max_position_embeddings = in_range(raw.max_position_embeddings, 1, int64_t{1} << 24, "context length", s);
  c.rms_norm_eps = static_cast<float>(in_range(raw.rms_norm_eps, 0.0, 1.0, "rms norm epsilon", s));
  c.final_logit_softcapping = static_cast<float>(in_range(raw.final_logit_softcapping, 0.0, 1e6, "final logit softcap", s));
  c.embed_scale = std::sqrt(static_cast<float>(c.hidden_size));
  c.hidden_size_per_layer_input = in_range(raw.hidden_size_per_layer_input, 0, 65536, "per-layer input size", s);
  c.num_experts = in_range(raw.num_experts, 0, 4096, "number of experts", s);
  if (c.num_experts > 0) {
    c.top_k_experts = in_range(raw.top_k_experts, 1, c.num_experts, "experts used", s);
    c.moe_intermediate_size = in_range(raw.moe_intermediate_size, 1, 1 << 20, "expert width", s);
  }
  c.sliding_window = static_cast<int32_t>(in_range(raw.sliding_window, 0, int64_t{1} << 24, "sliding window", s));
  c.norm_weights_are_offsets = raw.norm_weights_are_offsets;
  c.first_shared_layer = c.num_hidden_layers - in_range(raw.num_kv_shared_layers, 0, c.num_hidden_layers - 1, "layers with shared K/V", s);
  c.eos_token_ids = token_ids(raw.eos_token_ids, c.vocab_size, "end-of-text token id", s);
  c.suppress_tokens = token_ids(raw.suppress_tokens, c.vocab_size, "suppressed token id", s);
  if (raw.temperature >= 0) c.default_temperature = static_cast<float>(in_range(raw.temperature, 0.0, 100.0, "default temperature", s));
  if (raw.top_p >= 0) c.default_top_p = static_cast<float>(in_range(raw.top_p, 1e-30, 1.0, "default top_p", s));
  if (raw.top_k >= 0) c.default_top_k = static_cast<int32_t>(in_range(raw.top_k, 0, int64_t{1} << 30, "default top_k", s));

  int32_t owners[kNumKvGroups] = {0, 0};
  int32_t donor[kNumKvGroups] = {-1, -1};
  bool one_tensor = true;  // of the full layers that own K/V
  c.layers.resize(static_cast<size_t>(c.num_hidden_layers));
  for (size_t i = 0; i < c.layers.size(); ++i) {
    LayerConfig& l = c.layers[i];
    const bool sliding = raw.is_sliding[i] && c.sliding_window > 0;
    const int32_t group = sliding ? kSlidingGroup : kFullGroup;
    l.attn.num_attention_heads = static_cast<int32_t>(in_range(raw.num_attention_heads[i], 1, 1024, "attention heads", s));
    l.attn.num_key_value_heads = static_cast<int32_t>(in_range(raw.num_key_value_heads[i], 1, l.attn.num_attention_heads, "key/value heads", s));
    if (l.attn.num_attention_heads % l.attn.num_key_value_heads != 0 || l.attn.num_attention_heads / l.attn.num_key_value_heads > 64)
      fail(ErrorCode::corrupt, "{}: layer {} has {} attention heads for {} key/value heads", s, i, l.attn.num_attention_heads, l.attn.num_key_value_heads);
    l.attn.head_dim = static_cast<int32_t>(in_range(raw.head_dim[i], 2, 1024, "head size", s));
    if (l.attn.head_dim % 2 != 0) fail(ErrorCode::corrupt, "{}: layer {} has an odd head size {}", s, i, l.attn.head_dim);
    l.attn.sliding_window = sliding ? c.sliding_window : 0;
    l.attn.scale = static_cast<float>(in_range(raw.attention_scale, 1e-6, 1e3, "attention scale", s));
    l.rope = make_rope(sliding ? raw.rope_sliding : raw.rope_full, l.attn.head_dim, s);
    l.owns_kv = static_cast<int64_t>(i) < c.first_shared_layer;
    l.k_eq_v = l.owns_kv && raw.k_eq_v[i];
    l.has_v_norm = raw.has_v_norm;
    l.intermediate_size = in_range(raw.intermediate_size[i], 1, 1 << 20, "feed-forward width", s);
    l.has_experts = c.num_experts > 0;
    l.has_ple = c.hidden_size_per_layer_input > 0;
    l.attn.kv.group = group;
    if (l.owns_kv) {
      l.attn.kv.layer = owners[group]++;
      if (group == kFullGroup && !(l.k_eq_v && l.has_v_norm)) one_tensor = false;
      if (donor[group] >= 0) {  // one group, one shape: the cache is cut into equal pages
        const AttentionSpec& d = c.layers[static_cast<size_t>(donor[group])].attn;
        if (d.num_key_value_heads != l.attn.num_key_value_heads || d.head_dim != l.attn.head_dim)
          fail(ErrorCode::unsupported, "{}: layers {} and {} are of one kind but have K/V of different shapes", s, donor[group], i);
      }
      donor[group] = static_cast<int32_t>(i);
    } else {
      if (donor[group] < 0) fail(ErrorCode::corrupt, "{}: layer {} shares K/V, but no layer of its kind owns any", s, i);
      const AttentionSpec& d = c.layers[static_cast<size_t>(donor[group])].attn;
      if (d.num_key_value_heads != l.attn.num_key_value_heads || d.head_dim != l.attn.head_dim)
        fail(ErrorCode::corrupt, "{}: layer {} shares K/V of layer {}, but its heads have another shape", s, i, donor[group]);
      l.attn.kv = d.kv;
    }
  }
  for (LayerConfig& l : c.layers) l.attn.one_tensor = one_tensor && l.attn.kv.group == kFullGroup;
  return config;
}

KvGroupShape ModelConfig::kv_group(int32_t group) const {
  KvGroupShape g;
  for (const LayerConfig& l : layers) {
    if (!l.owns_kv || l.attn.kv.group != group) continue;
    ++g.layers;
    g.num_key_value_heads = l.attn.num_key_value_heads;
    g.head_dim = l.attn.head_dim;
    g.one_tensor = l.attn.one_tensor;
    g.window = l.attn.sliding_window;
  }
  return g;
}

}  // namespace carat
