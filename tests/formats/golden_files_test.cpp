// Files made by others: every golden model opens, its bf16 GGUF and its folder hold the same numbers, and the real vocabulary opens fast.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "formats/checkpoint.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

fs::path shared() {
  const char* set = std::getenv("CARAT_SHARED");
  return set != nullptr ? fs::path(set) : fs::path(CARAT_SOURCE_DIR) / "../shared";
}

fs::path golden_models() { return shared() / "golden" / "models"; }

TEST(GoldenFiles, EveryModelOpensAndEveryTensorDecodes) {
  if (!fs::exists(golden_models())) GTEST_SKIP() << golden_models() << " is missing; set CARAT_SHARED";
  int opened = 0;
  for (const auto& entry : fs::recursive_directory_iterator(shared() / "golden")) {
    const bool gguf = entry.path().extension() == ".gguf";
    const bool folder = entry.is_directory() && fs::exists(entry.path() / "model.safetensors");
    const bool tensors = entry.path().extension() == ".safetensors";
    if (!gguf && !folder && !tensors) continue;
    SCOPED_TRACE(entry.path().string());
    const auto c = Checkpoint::open(entry.path());
    EXPECT_FALSE(c->tensors().empty());
    if (folder) {
      EXPECT_TRUE(c->side_file("config.json").has_value());
    }
    for (const TensorInfo& t : c->tensors()) {
      EXPECT_EQ(t.nbytes, static_cast<uint64_t>(t.rows() * t.bytes_per_row()));
      if (!is_float(t.dtype) && !is_quantised(t.dtype)) continue;
      for (const float x : t.to_f32()) ASSERT_TRUE(std::isfinite(x)) << t.name;
    }
    ++opened;
  }
  EXPECT_GT(opened, 40);
}

// HF name of a text tensor -> GGUF name; empty when it has none. Enough of the table of docs/formats.md for this test.
std::string gguf_name(std::string name) {
  for (const char* prefix : {"model.language_model.", "language_model.model.", "model."})
    if (name.starts_with(prefix)) {
      name.erase(0, std::strlen(prefix));
      break;
    }
  const std::pair<std::string_view, std::string_view> table[] = {
      {"self_attn.q_proj.weight", "attn_q.weight"},
      {"self_attn.k_proj.weight", "attn_k.weight"},
      {"self_attn.v_proj.weight", "attn_v.weight"},
      {"self_attn.o_proj.weight", "attn_output.weight"},
      {"mlp.gate_proj.weight", "ffn_gate.weight"},
      {"mlp.up_proj.weight", "ffn_up.weight"},
      {"mlp.down_proj.weight", "ffn_down.weight"},
      {"input_layernorm.weight", "attn_norm.weight"},
      {"self_attn.q_norm.weight", "attn_q_norm.weight"},
      {"self_attn.k_norm.weight", "attn_k_norm.weight"},
      {"post_attention_layernorm.weight", "post_attention_norm.weight"},
      {"pre_feedforward_layernorm.weight", "ffn_norm.weight"},
      {"post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
      {"layer_scalar", "layer_output_scale.weight"},
      {"experts.gate_up_proj", "ffn_gate_up_exps.weight"},
      {"experts.down_proj", "ffn_down_exps.weight"},
      {"router.proj.weight", "ffn_gate_inp.weight"},
      {"per_layer_input_gate.weight", "inp_gate.weight"},
      {"per_layer_projection.weight", "proj.weight"},
  };
  if (name == "embed_tokens.weight") return "token_embd.weight";
  if (name == "norm.weight") return "output_norm.weight";
  if (name == "embed_tokens_per_layer.weight") return "per_layer_token_embd.weight";
  if (name == "per_layer_model_projection.weight") return "per_layer_model_proj.weight";
  if (!name.starts_with("layers.")) return "";
  const size_t dot = name.find('.', 7);
  for (const auto& [hf, gguf] : table)
    if (name.substr(dot + 1) == hf) return "blk." + name.substr(7, dot - 7) + "." + std::string(gguf);
  return "";
}

TEST(GoldenFiles, Bf16GgufAndFolderHoldTheSameNumbers) {
  if (!fs::exists(golden_models())) GTEST_SKIP() << golden_models() << " is missing; set CARAT_SHARED";
  int models = 0;
  for (const auto& model : fs::directory_iterator(golden_models())) {
    const fs::path file = model.path() / "gguf/model-bf16.gguf";
    if (!fs::exists(file)) continue;
    SCOPED_TRACE(file.string());
    const auto gguf = Checkpoint::open(file);
    const auto hf = Checkpoint::open(model.path() / "hf");
    const bool plus_one = gguf->meta_string("general.architecture") == "gemma3";  // its converter adds 1 to every norm weight
    int compared = 0;
    for (const TensorInfo& t : hf->tensors()) {
      const std::string name = gguf_name(t.name);
      const TensorInfo* other = name.empty() ? nullptr : gguf->find(name);
      if (other == nullptr) continue;
      EXPECT_EQ(other->elements(), t.elements()) << name;
      if (t.shape.size() > 1) {
        EXPECT_EQ(other->shape, t.shape) << name;
      }
      auto want = t.to_f32();
      const auto got = other->to_f32();
      if (plus_one && t.name.ends_with("norm.weight"))
        for (float& x : want) x += 1.0f;
      ASSERT_EQ(want.size(), got.size());
      EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0) << name;
      ++compared;
    }
    EXPECT_GT(compared, 35);
    ++models;
  }
  EXPECT_GE(models, 5);
}

TEST(GoldenFiles, RealVocabularyOpensFast) {
  fs::path file;
  for (const fs::path& p : {fs::path(CARAT_SOURCE_DIR) / "models/ggml-vocab-gemma-4.gguf", shared() / "golden/real/ggml-vocab-gemma-4.gguf"})
    if (fs::exists(p)) file = p;
  if (file.empty()) GTEST_SKIP() << "models/ggml-vocab-gemma-4.gguf is missing (it is shipped with llama.cpp)";
  Checkpoint::open(file);                   // the file is in the page cache now
  const std::clock_t start = std::clock();  // of the processor: the machine may be busy
  const auto c = Checkpoint::open(file);
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  static_cast<void>(took);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(took, 0.15);
#endif
  EXPECT_TRUE(c->tensors().empty());
  ASSERT_NE(c->meta_strings("tokenizer.ggml.tokens"), nullptr);
  EXPECT_EQ(c->meta_strings("tokenizer.ggml.tokens")->size(), 262144u);
  EXPECT_EQ((*c->meta_strings("tokenizer.ggml.tokens"))[2], "<bos>");
  EXPECT_EQ(c->meta_strings("tokenizer.ggml.merges")->size(), 514906u);
  EXPECT_EQ(c->meta_ints("tokenizer.ggml.token_type")->size(), 262144u);
  EXPECT_EQ(c->meta_string("general.architecture"), "gemma4");
}

}  // namespace
}  // namespace carat
