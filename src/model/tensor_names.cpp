#include "model/tensor_names.h"

#include <utility>

#include "formats/checkpoint.h"

namespace carat {
namespace {

constexpr std::pair<std::string_view, std::string_view> kGlobal[] = {
    {"token_embd.weight", "embed_tokens.weight"},
    {"output_norm.weight", "norm.weight"},
    {"per_layer_token_embd.weight", "embed_tokens_per_layer.weight"},
    {"per_layer_model_proj.weight", "per_layer_model_projection.weight"},
    {"per_layer_proj_norm.weight", "per_layer_projection_norm.weight"},
};
constexpr std::pair<std::string_view, std::string_view> kLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"layer_output_scale.weight", "layer_scalar"},
    {"inp_gate.weight", "per_layer_input_gate.weight"},
    {"proj.weight", "per_layer_projection.weight"},
    {"post_norm.weight", "post_per_layer_input_norm.weight"},
    {"ffn_gate_inp.weight", "router.proj.weight"},
    {"ffn_gate_inp.scale", "router.scale"},
    {"ffn_down_exps.scale", "router.per_expert_scale"},
    {"ffn_gate_up_exps.weight", "experts.gate_up_proj"},
    {"ffn_gate_exps.weight", "experts.gate_proj"},
    {"ffn_up_exps.weight", "experts.up_proj"},
    {"ffn_down_exps.weight", "experts.down_proj"},
    {"pre_ffw_norm_2.weight", "pre_feedforward_layernorm_2.weight"},
    {"post_ffw_norm_1.weight", "post_feedforward_layernorm_1.weight"},
    {"post_ffw_norm_2.weight", "post_feedforward_layernorm_2.weight"},
};

}  // namespace

TensorNames::TensorNames(const Checkpoint& checkpoint) : hf_(checkpoint.kind() == CheckpointKind::hf_folder) {
  prefix_ = "model.";
  for (const char* prefix : {"model.language_model.", "language_model.model."})
    if (checkpoint.find(std::string(prefix) + "embed_tokens.weight")) prefix_ = prefix;
}

std::string TensorNames::in_file(std::string_view canonical) const {
  if (!hf_) return std::string(canonical);
  if (canonical == "output.weight") return "lm_head.weight";
  for (const auto& [ours, theirs] : kGlobal)
    if (canonical == ours) return prefix_ + std::string(theirs);
  if (canonical.substr(0, 4) == "blk.") {
    const size_t dot = canonical.find('.', 4);
    const std::string_view layer = canonical.substr(4, dot - 4), rest = canonical.substr(dot + 1);
    for (const auto& [ours, theirs] : kLayer)
      if (rest == ours) return prefix_ + "layers." + std::string(layer) + "." + std::string(theirs);
  }
  return std::string(canonical);  // a tensor only GGUF files have
}

std::string TensorNames::factor_in_file(std::string_view canonical) const {
  // In a GGUF the router has something else by that name, and is never NVFP4.
  if (!hf_ && canonical.ends_with("ffn_gate_inp.weight")) return {};
  std::string name = in_file(canonical);
  if (name.ends_with(".weight")) name.resize(name.size() - std::string_view(".weight").size());
  return name + ".scale";
}

std::string TensorNames::canonical(std::string_view in_file) const {
  if (!hf_) return std::string(in_file);
  if (in_file == "lm_head.weight") return "output.weight";
  if (!in_file.starts_with(prefix_)) return {};
  const std::string_view rest = in_file.substr(prefix_.size());
  for (const auto& [ours, theirs] : kGlobal)
    if (rest == theirs) return std::string(ours);
  constexpr std::string_view kLayers = "layers.";
  if (!rest.starts_with(kLayers)) return {};
  const size_t dot = rest.find('.', kLayers.size());
  if (dot == std::string_view::npos) return {};
  const std::string_view layer = rest.substr(kLayers.size(), dot - kLayers.size()), part = rest.substr(dot + 1);
  for (const auto& [ours, theirs] : kLayer)
    if (part == theirs) return "blk." + std::string(layer) + "." + std::string(ours);
  return {};
}

}  // namespace carat
