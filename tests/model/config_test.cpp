// What the two kinds of files say of the same model must come out the same.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/config.h"
#include "support/golden.h"

namespace carat {
namespace {

TEST(Config, FolderAndGgufSayTheSame) {
  if (!test::have_golden()) GTEST_SKIP() << "reference cases are not at " << test::shared_dir();
  int compared = 0;
  for (const std::string& m : test::text_models()) {
    const auto folder = read_config(*Checkpoint::open(test::golden("models/" + m + "/hf")));
    for (const char* file : {"model-bf16.gguf", "model-Q4_K_M.gguf"}) {
      const auto path = test::golden("models/" + m + "/gguf/" + file);
      if (!std::filesystem::exists(path)) continue;
      const auto gguf = read_config(*Checkpoint::open(path));
      EXPECT_EQ(gguf->hidden_size, folder->hidden_size) << m;
      EXPECT_EQ(gguf->vocab_size, folder->vocab_size) << m;
      EXPECT_EQ(gguf->max_position_embeddings, folder->max_position_embeddings) << m;
      EXPECT_EQ(gguf->final_logit_softcapping, folder->final_logit_softcapping) << m;
      EXPECT_EQ(gguf->hidden_size_per_layer_input, folder->hidden_size_per_layer_input) << m;
      EXPECT_EQ(gguf->num_experts, folder->num_experts) << m;
      EXPECT_EQ(gguf->top_k_experts, folder->top_k_experts) << m;
      EXPECT_EQ(gguf->first_shared_layer, folder->first_shared_layer) << m;
      EXPECT_EQ(gguf->sliding_window, folder->sliding_window) << m;
      ASSERT_EQ(gguf->layers.size(), folder->layers.size()) << m;
      for (size_t i = 0; i < gguf->layers.size(); ++i) {
        const LayerConfig &a = gguf->layers[i], &b = folder->layers[i];
        EXPECT_EQ(a.attn.num_attention_heads, b.attn.num_attention_heads) << m << " layer " << i;
        EXPECT_EQ(a.attn.num_key_value_heads, b.attn.num_key_value_heads) << m << " layer " << i;
        EXPECT_EQ(a.attn.head_dim, b.attn.head_dim) << m << " layer " << i;
        EXPECT_EQ(a.attn.sliding_window, b.attn.sliding_window) << m << " layer " << i;
        EXPECT_EQ(a.attn.scale, b.attn.scale) << m << " layer " << i;
        EXPECT_EQ(a.attn.one_tensor, b.attn.one_tensor) << m << " layer " << i;
        EXPECT_EQ(a.attn.kv.group, b.attn.kv.group) << m << " layer " << i;
        EXPECT_EQ(a.attn.kv.layer, b.attn.kv.layer) << m << " layer " << i;
        EXPECT_EQ(a.owns_kv, b.owns_kv) << m << " layer " << i;
        EXPECT_EQ(a.k_eq_v, b.k_eq_v) << m << " layer " << i;
        EXPECT_EQ(a.intermediate_size, b.intermediate_size) << m << " layer " << i;
        EXPECT_EQ(a.rope.freqs, b.rope.freqs) << m << " layer " << i;
      }
      std::vector<int32_t> ends = folder->eos_token_ids, file_ends = gguf->eos_token_ids;
      std::sort(ends.begin(), ends.end());
      std::sort(file_ends.begin(), file_ends.end());
      if (gguf->architecture == "gemma4") {
        EXPECT_EQ(file_ends, ends) << m;
      }
      ++compared;
    }
  }
  EXPECT_GE(compared, 8);
}

TEST(Config, ResolvesTheShapesOfAFullSizeModel) {
  // The key/value cache of 31B: 16 heads of 256 in sliding layers, 4 of 512 kept once in full ones; pages of 512 KiB.
  KvGroupShape sliding{50, 16, 256, false, 1024}, full{10, 4, 512, true, 0};
  const KvLayout l = make_kv_layout(sliding, full, DType::f16);
  EXPECT_EQ(l.page_bytes, 512 * 1024);
  EXPECT_EQ(l.block_positions[kSlidingGroup], 32);
  EXPECT_EQ(l.block_positions[kFullGroup], 128);
  EXPECT_EQ(l.slots_per_block[kSlidingGroup], 5);
  // One tensor halves the full layers' cache: 256K positions take 10 GiB.
  const int64_t slots = int64_t{262144} / l.block_positions[kFullGroup] * l.slots_per_block[kFullGroup];
  EXPECT_EQ(slots * l.slot_bytes(), int64_t{10} << 30);
  // E2B: 64 and 32 positions, 64 KiB; 26B: 32 and 128, 256 KiB.
  const KvLayout e2b = make_kv_layout({12, 1, 256, false, 512}, {3, 1, 512, false, 0}, DType::f16);
  EXPECT_EQ(e2b.page_bytes, 64 * 1024);
  EXPECT_EQ(e2b.block_positions[kSlidingGroup], 64);
  EXPECT_EQ(e2b.slots_per_block[kSlidingGroup], 4);
  const KvLayout moe = make_kv_layout({25, 8, 256, false, 1024}, {5, 2, 512, true, 0}, DType::f16);
  EXPECT_EQ(moe.page_bytes, 256 * 1024);
  EXPECT_EQ(moe.block_positions[kFullGroup], 128);
}

}  // namespace
}  // namespace carat
