// Tensors of a folder as llama.cpp's converter has them: which are kept, under which names, in which types, and what is done to their values.
#include <algorithm>

#include "base/error.h"
#include "formats/printable.h"
#include "model/config.h"
#include "model/raw_config.h"
#include "model/tensor_names.h"
#include "quant/source.h"

namespace carat::quant {
namespace {

// Vectors, norms and the router stay f32; matrices are BF16 unless the folder has them in another form.
DType type_in_gguf(const std::string& name, const TensorInfo& t) {
  if (is_quantised(t.dtype)) return t.dtype;
  if (t.shape.size() <= 1 || name.ends_with("_norm.weight") || name.ends_with("ffn_gate_inp.weight")) return DType::f32;
  return t.dtype == DType::f16 ? DType::f16 : t.dtype == DType::f32 ? DType::f32 : DType::bf16;
}

bool of_vocabulary(std::string_view name) { return name == "token_embd.weight" || name == "per_layer_token_embd.weight" || name == "output.weight"; }

// The divisors of the full layers' frequencies: 1 (or what long contexts stretch them by) for pairs that turn, so much for the others that they never do.
SourceTensor rope_divisors(const ModelConfig& config, double stretch) {
  const auto full = std::find_if(config.layers.begin(), config.layers.end(), [](const LayerConfig& l) { return l.attn.sliding_window == 0; });
  SourceTensor t;
  t.name = "rope_freqs.weight";
  if (full == config.layers.end()) return t;
  t.shape = {full->attn.head_dim / 2};
  t.values.assign(static_cast<size_t>(full->attn.head_dim / 2), 1e30f);
  std::fill_n(t.values.begin(), full->rope.freqs.size(), static_cast<float>(stretch));
  return t;
}

// An expert's factor of its down matrix goes to its output, where a GGUF has it.
void move_down_factors(std::vector<SourceTensor>& tensors) {
  for (SourceTensor& down : tensors) {
    if (down.factor.empty() || !down.name.ends_with("ffn_down_exps.weight")) continue;
    const std::string name = down.name.substr(0, down.name.size() - std::string_view("weight").size()) + "scale";
    const auto scale = std::find_if(tensors.begin(), tensors.end(), [&](const SourceTensor& t) { return t.name == name; });
    if (scale == tensors.end()) continue;  // then it is written as it is, under that name
    scale->values.resize(static_cast<size_t>(scale->rows() * scale->cols()));
    scale->read(0, scale->rows(), scale->values.data());
    for (size_t e = 0; e < scale->values.size(); ++e) scale->values[e] *= down.factor[down.factor.size() == 1 ? 0 : std::min(e, down.factor.size() - 1)];
    scale->from = nullptr;
    down.factor.clear();
  }
}

// A matrix in a form that is not read must not be taken for one that the model does not have.
void check_complete(const Source& source, const TensorNames& names) {
  std::vector<std::string> here;
  for (const SourceTensor& t : source.tensors) here.push_back(t.name);
  std::sort(here.begin(), here.end());
  std::vector<std::string> wanted = {"token_embd.weight", "output_norm.weight"};
  for (int64_t i = 0; i < source.model.num_layers; ++i)
    for (const char* part : {"attn_norm", "attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      wanted.push_back(fmt::format("blk.{}.{}.weight", i, part));
  for (const std::string& name : wanted)
    if (!std::binary_search(here.begin(), here.end(), name))
      fail(ErrorCode::unsupported, "{}: tensor {} is missing, or stored in a form that Carat does not read; use a GGUF or the unquantised folder",
           source.checkpoint->path().string(), names.in_file(name));
}

}  // namespace

void read_folder_tensors(Source& source) {
  const Checkpoint& c = *source.checkpoint;
  const std::unique_ptr<ModelConfig> config = read_config(c);
  source.architecture = config->architecture;
  source.model.num_layers = config->num_hidden_layers;
  source.model.num_experts = config->num_experts;
  source.model.heads_per_kv_head = config->layers[0].attn.num_attention_heads / config->layers[0].attn.num_key_value_heads;
  const TensorNames names(c);
  const int64_t vocabulary = folder_vocabulary_size(c);
  if (config->architecture == "gemma4")
    if (SourceTensor divisors = rope_divisors(*config, read_hf_config(c).rope_full.factor); !divisors.shape.empty())
      source.tensors.push_back(std::move(divisors));
  for (const TensorInfo& t : c.tensors()) {
    const std::string name = names.canonical(t.name);
    // A head that is the embedding is not written twice: the reader takes the embedding.
    if (name.empty() || name == "output.weight") {
      source.left_out += t.name.find("_tower.") != std::string::npos || t.name.find("embed_vision.") != std::string::npos ||
                         t.name.find("embed_audio.") != std::string::npos || t.name.find("vision_embedder.") != std::string::npos;
      continue;
    }
    if (!is_float(t.dtype) && !is_quantised(t.dtype))
      fail(ErrorCode::unsupported, "{}: tensor {} is of type {}, which holds no weights; use a GGUF or the unquantised folder", c.path().string(),
           printable(t.name), info(t.dtype).name);
    SourceTensor s;
    s.name = name, s.dtype = type_in_gguf(name, t), s.shape = t.shape, s.from = &t;
    while (s.shape.size() > 1 && s.shape.front() == 1 && s.dtype == DType::f32) s.shape.erase(s.shape.begin());
    if (config->norm_weights_are_offsets && name.ends_with("norm.weight")) s.offset = 1;
    if (of_vocabulary(name) && s.shape.size() == 2 && vocabulary > 0) s.shape[0] = std::min(s.shape[0], vocabulary);
    if (name.ends_with(".weight") && t.shape.size() > 1)
      if (const TensorInfo* factor = c.find(names.factor_in_file(name))) s.factor = factor->to_f32();
    source.tensors.push_back(std::move(s));
  }
  move_down_factors(source.tensors);
  check_complete(source, names);
}

}  // namespace carat::quant
