#include "cli/inspect_report.h"

#include <cmath>
#include <cstdlib>
#include <type_traits>

#include "base/error.h"
#include "chat/chat_format.h"
#include "formats/checkpoint.h"
#include "formats/panel_rows.h"
#include "model/config.h"
#include "text/tokenizer.h"

namespace carat::cli {
namespace {

constexpr size_t kLongArray = 16;                  // arrays up to this length are shown whole
constexpr size_t kFirstItems = 8;                  // of longer ones this many
constexpr int32_t kF32 = 6, kBool = 7, kF64 = 12;  // element types of GGUF
constexpr size_t kManyTensors = 1'000'000;

std::string_view gguf_type_name(int32_t type) {
  constexpr std::string_view names[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  return type >= 0 && type < 13 ? names[type] : "?";
}

// A double that prints as the float does.
double shortest(float value) { return std::isfinite(value) ? std::strtod(fmt::format("{}", value).c_str(), nullptr) : static_cast<double>(value); }

template <typename Items>
Json array_to_json(const Items& items, int32_t type) {
  const size_t shown = items.size() <= kLongArray ? items.size() : kFirstItems;
  Json list = Json::array();
  for (size_t i = 0; i < shown; ++i) list.push_back(items[i]);
  if (shown == items.size()) return list;
  return {{"type", gguf_type_name(type)}, {"length", items.size()}, {"first", list}};
}

Json numbers_to_json(const Checkpoint& checkpoint, std::string_view key, const MetaNumbers& numbers, int32_t type) {
  try {
    if (type == kF32 || type == kF64) return array_to_json(checkpoint.meta_floats(key).value(), type);
    const std::vector<int64_t> items = checkpoint.meta_ints(key).value();
    if (type == kBool) return array_to_json(std::vector<bool>(items.begin(), items.end()), type);
    return array_to_json(items, type);
  } catch (const Error&) {  // u64 beyond i64: only the length can be told
    return {{"type", gguf_type_name(type)}, {"length", numbers.count}, {"first", Json::array()}};
  }
}

Json value_to_json(const Checkpoint& checkpoint, std::string_view key, const MetaValue& value) {
  return std::visit(
      [&](const auto& v) -> Json {
        using Value = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<Value, MetaStrings>) {
          return array_to_json(v, value.gguf_elem_type);
        } else if constexpr (std::is_same_v<Value, MetaNumbers>) {
          return numbers_to_json(checkpoint, key, v, value.gguf_elem_type);
        } else if constexpr (std::is_same_v<Value, double>) {
          return value.gguf_type == kF32 ? shortest(static_cast<float>(v)) : v;
        } else {
          return v;
        }
      },
      value.value);
}

Json layer_to_json(const LayerConfig& layer) {
  Json json{{"attention", layer.attn.sliding_window > 0 ? "sliding" : "full"},
            {"num_attention_heads", layer.attn.num_attention_heads},
            {"num_key_value_heads", layer.attn.num_key_value_heads},
            {"head_dim", layer.attn.head_dim},
            {"rotary_pairs", layer.rope.freqs.size()},
            {"intermediate_size", layer.intermediate_size},
            {"owns_kv", layer.owns_kv},
            {"k_eq_v", layer.k_eq_v}};
  return json;
}

Json config_to_json(const ModelConfig& config) {
  Json layers = Json::array();
  int64_t sliding = 0;
  for (const LayerConfig& layer : config.layers) {
    layers.push_back(layer_to_json(layer));
    if (layer.attn.sliding_window > 0) ++sliding;
  }
  Json json{{"architecture", config.architecture},
            {"name", config.name},
            {"num_hidden_layers", config.num_hidden_layers},
            {"sliding_layers", sliding},
            {"full_layers", config.num_hidden_layers - sliding},
            {"first_shared_layer", config.first_shared_layer},
            {"hidden_size", config.hidden_size},
            {"vocab_size", config.vocab_size},
            {"max_position_embeddings", config.max_position_embeddings},
            {"sliding_window", config.sliding_window},
            {"rms_norm_eps", shortest(config.rms_norm_eps)},
            {"final_logit_softcapping", config.final_logit_softcapping},
            {"hidden_size_per_layer_input", config.hidden_size_per_layer_input},
            {"num_experts", config.num_experts},
            {"top_k_experts", config.top_k_experts},
            {"moe_intermediate_size", config.moe_intermediate_size},
            {"eos_token_ids", config.eos_token_ids},
            {"suppress_tokens", config.suppress_tokens}};
  json["layers"] = std::move(layers);
  return json;
}

Json template_to_json(const std::string& chat_template) {
  const TemplateCheck check = check_template(chat_template);
  if (!check.has_template) return nullptr;
  return {
      {"bytes", chat_template.size()}, {"format", check.format == nullptr ? Json(nullptr) : Json(check.format->name())}, {"differences", check.differences}};
}

void add(Json& totals, const TensorInfo& tensor) {
  totals["tensors"] = totals.value("tensors", int64_t{0}) + 1;
  totals["parameters"] = totals.value("parameters", int64_t{0}) + tensor.elements();
  totals["bytes"] = totals.value("bytes", uint64_t{0}) + tensor.nbytes;
}

void add_tensors(Json& report, const Checkpoint& checkpoint) {
  Json list = Json::array();
  Json totals{{"tensors", 0}, {"parameters", 0}, {"bytes", 0}, {"by_type", Json::object()}};
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    const std::string type(info(tensor.dtype).name);
    list.push_back({{"name", tensor.name}, {"type", type}, {"shape", tensor.shape}, {"bytes", tensor.nbytes}, {"offset", tensor.offset}});
    if (tensor.panels) list.back()["layout"] = kGgufPanelLayout;
    add(totals, tensor);
    Json& of_type = totals["by_type"][type];
    if (of_type.is_null()) of_type = Json::object();
    add(of_type, tensor);
  }
  report["tensors"] = std::move(list);
  report["totals"] = std::move(totals);
}

}  // namespace

Json inspect_model(const std::filesystem::path& path) {
  const auto checkpoint = Checkpoint::open(path);
  if (checkpoint->tensors().size() > kManyTensors)
    fail(ErrorCode::unsupported, "the file names {} tensors, {}, no model has so many", checkpoint->tensors().size(), path.string());
  Json problems = Json::array();
  Json report{{"path", path.string()}, {"kind", checkpoint->kind() == CheckpointKind::gguf ? "gguf" : "hf_folder"}, {"file_bytes", checkpoint->file_bytes()}};

  std::unique_ptr<ModelConfig> config;
  try {
    config = read_config(*checkpoint);
    report["config"] = config_to_json(*config);
  } catch (const Error& error) {
    report["config"] = nullptr;
    problems.push_back(fmt::format("config: {}", error.what()));
  }
  // Appended without a look-up (the reader has refused doubles): a look-up is linear, and a hostile file can have a million keys.
  Json::object_t metadata;
  for (const auto& [key, value] : checkpoint->metadata()) metadata.push_back({key, value_to_json(*checkpoint, key, value)});
  report["metadata"] = std::move(metadata);
  try {
    const auto tokenizer = Tokenizer::load(*checkpoint);
    report["chat_template"] = template_to_json(tokenizer->chat_template());
    report["vocabulary"] = {{"size", tokenizer->vocab_size()}, {"bos_id", tokenizer->bos_id()}, {"eos_ids", tokenizer->eos_ids()}};
    if (config && tokenizer->vocab_size() > config->vocab_size) {
      problems.push_back(fmt::format("tokenizer: {} entries, but the embedding table has {} rows", tokenizer->vocab_size(), config->vocab_size));
    }
  } catch (const Error& error) {
    report["chat_template"] = nullptr;
    report["vocabulary"] = nullptr;
    problems.push_back(fmt::format("tokenizer: {}", error.what()));
  }
  add_tensors(report, *checkpoint);
  if (checkpoint->tensors().empty()) problems.push_back("tensors: there are none: a vocabulary only, good for carat tokenize");
  report["problems"] = std::move(problems);
  return report;
}

}  // namespace carat::cli
