// Operations and bytes of a step, against sums done by hand.
#include "model/work.h"

#include <gtest/gtest.h>

#include "model/config.h"
#include "model/weights.h"

namespace carat {
namespace {

Linear matrix(DType dtype, int64_t out, int64_t in) {
  Linear m;
  m.dtype = dtype, m.in = in, m.out = out;
  m.data = std::shared_ptr<const std::byte>(std::make_shared<std::byte>());
  m.bytes = static_cast<uint64_t>(row_bytes(dtype, in) * out);
  return m;
}

// Hidden 64, two heads of 32 over one of K and V, vocabulary 100: a sliding layer (window 4, MLP 96) in Q8_0, and a full one in f32 that shares nothing.
struct Tiny {
  ModelConfig config;
  Weights weights;

  Tiny() {
    config.hidden_size = 64, config.num_hidden_layers = 2, config.vocab_size = 100, config.first_shared_layer = 2;
    config.layers.resize(2);
    weights.layers.resize(2);
    for (size_t i = 0; i < 2; ++i) {
      AttentionSpec& a = config.layers[i].attn;
      a.num_attention_heads = 2, a.num_key_value_heads = 1, a.head_dim = 32, a.sliding_window = i == 0 ? 4 : 0;
      const DType t = i == 0 ? DType::q8_0 : DType::f32;
      LayerWeights& w = weights.layers[i];
      w.q_proj = matrix(t, 64, 64), w.k_proj = matrix(t, 32, 64), w.v_proj = matrix(t, 32, 64), w.o_proj = matrix(t, 64, 64);
      w.mlp = {matrix(t, 96, 64), matrix(t, 96, 64), matrix(t, 64, 96)};
    }
    weights.embed_tokens = matrix(DType::q8_0, 100, 64);
  }
  Work work(const StepShape& shape, DType kv = DType::f16) const { return step_work(config, weights, kv, shape); }
};

// Multiply-adds a row and weights a layer: 64*64 + 32*64 + 32*64 + 64*64 + 3*96*64.
constexpr double kLayer = 30720;
constexpr double kQ8 = 34.0 / 32;  // bytes a weight
constexpr double kEmbeddingRow = 64 * kQ8;

TEST(Work, OfADecodeStep) {
  // At position 9: the window shows 4 positions, the full layer 10. Each position: 4 * 2 heads * 32 operations, 2 * 32 numbers.
  const Work w = Tiny().work({.sequences = 1, .rows = 1, .depth = 9, .logit_rows = 1});
  EXPECT_EQ(w.int8_ops, 2 * kLayer + 2 * 6400);
  EXPECT_EQ(w.f32_ops, 2 * kLayer + 256 * (4 + 10));
  EXPECT_EQ(w.bytes, kLayer * kQ8 + kLayer * 4 + 6400 * kQ8 + kEmbeddingRow + 64 * 2 * (4 + 10));
}

TEST(Work, OfAPromptBehindADepth) {
  // Rows at 2..6: the window shows 3 4 4 4 4, together all seven positions; the full layer 3 4 5 6 7.
  const Work w = Tiny().work({.sequences = 1, .rows = 5, .depth = 2, .logit_rows = 1});
  EXPECT_EQ(w.int8_ops, 5 * 2 * kLayer + 2 * 6400);
  EXPECT_EQ(w.f32_ops, 5 * 2 * kLayer + 256 * (19 + 25));
  EXPECT_EQ(w.bytes, kLayer * kQ8 + kLayer * 4 + 6400 * kQ8 + 5 * kEmbeddingRow + 128 * (7 + 7));
  // Without logits: no head, and rows at 10..12 see 4 each of the window, of positions 7..12.
  const Work inner = Tiny().work({.sequences = 1, .rows = 3, .depth = 10, .logit_rows = 0});
  EXPECT_EQ(inner.int8_ops, 3 * 2 * kLayer);
  EXPECT_EQ(inner.f32_ops, 3 * 2 * kLayer + 256 * (12 + 11 + 12 + 13));
  EXPECT_EQ(inner.bytes, kLayer * kQ8 + kLayer * 4 + 3 * kEmbeddingRow + 128 * (6 + 13));
}

TEST(Work, OfSequencesTogether) {
  const Work one = Tiny().work({.sequences = 1, .rows = 1, .depth = 9, .logit_rows = 1}),
             all = Tiny().work({.sequences = 3, .rows = 1, .depth = 9, .logit_rows = 1});
  EXPECT_EQ(all.int8_ops, 3 * one.int8_ops);
  EXPECT_EQ(all.f32_ops, 3 * one.f32_ops);
  EXPECT_EQ(all.bytes, one.bytes + 2 * (kEmbeddingRow + 128 * 14)) << "weights are read once, caches and embedding rows by each";
}

TEST(Work, OfEveryTypeOfCache) {
  const StepShape shape{.sequences = 1, .rows = 1, .depth = 9, .logit_rows = 1};
  const double half = Tiny().work(shape).bytes;
  EXPECT_EQ(Tiny().work(shape, DType::f32).bytes - half, 2 * 64 * 14);
  EXPECT_EQ(half - Tiny().work(shape, DType::q8_0).bytes, 64 * 14 * (2 - 1.125));
  Tiny one_tensor;
  one_tensor.config.layers[1].attn.one_tensor = true;
  EXPECT_EQ(half - one_tensor.work(shape).bytes, 64 * 10) << "the full layer keeps half";
}

TEST(Work, LayersThatShareComputeOnlyWhatIsWanted) {
  Tiny tiny;
  tiny.config.first_shared_layer = 1;
  tiny.weights.layers[1].k_proj = tiny.weights.layers[1].v_proj = {};
  constexpr double kShared = kLayer - 2 * 32 * 64;
  const Work last = tiny.work({.sequences = 1, .rows = 5, .depth = 2, .logit_rows = 1});
  EXPECT_EQ(last.int8_ops, 5 * 2 * kLayer + 2 * 6400);
  EXPECT_EQ(last.f32_ops, 2 * kShared + 256 * (19 + 7));
  const Work inner = tiny.work({.sequences = 1, .rows = 5, .depth = 2, .logit_rows = 0});
  EXPECT_EQ(inner.f32_ops, 256 * 19);
  EXPECT_EQ(inner.bytes, kLayer * kQ8 + 5 * kEmbeddingRow + 128 * 7);
}

TEST(Work, OfExpertsThoseThatAreChosen) {
  Tiny tiny;
  const double before_ops = tiny.work({}).f32_ops, before_bytes = tiny.work({}).bytes;
  tiny.config.layers[1].has_experts = true;
  LayerWeights& w = tiny.weights.layers[1];
  w.router = matrix(DType::f32, 8, 64);
  w.router_scale.resize(64), w.pre_feedforward_norm_2.resize(64), w.post_feedforward_norm_1.resize(64), w.post_feedforward_norm_2.resize(64);
  w.experts.top_k = 2;
  for (int e = 0; e < 8; ++e) w.experts.experts.push_back({matrix(DType::f32, 64, 64), matrix(DType::f32, 64, 32)});
  constexpr double kExpert = 64 * 64 + 64 * 32, kSmall = 4 * (8 * 64 + 4 * 64);
  EXPECT_DOUBLE_EQ(tiny.work({}).f32_ops, before_ops + 2 * (8 * 64 + 2 * kExpert));
  EXPECT_DOUBLE_EQ(tiny.work({}).bytes, before_bytes + kSmall + 2 * 4 * kExpert) << "a row reads two";
  // Two rows read 8 (1 - (6/8)^2) = 3.5 of them.
  const StepShape two{.sequences = 2, .rows = 1, .depth = 0, .logit_rows = 1};
  EXPECT_DOUBLE_EQ(tiny.work(two).bytes, Tiny().work(two).bytes + kSmall + 3.5 * 4 * kExpert);
  EXPECT_DOUBLE_EQ(tiny.work(two).f32_ops, 2 * tiny.work({}).f32_ops);
}

TEST(Work, OfPerLayerInputs) {
  Tiny tiny;
  tiny.config.hidden_size_per_layer_input = 32;
  tiny.config.first_shared_layer = 1;
  tiny.weights.embed_tokens_per_layer.dtype = DType::q8_0;
  tiny.weights.embed_tokens_per_layer.shape = {100, 64};
  tiny.weights.per_layer_model_projection[0] = tiny.weights.per_layer_model_projection[1] = matrix(DType::q8_0, 32, 64);
  Tiny plain;
  plain.config.first_shared_layer = 1;
  const StepShape shape{.sequences = 1, .rows = 5, .depth = 0, .logit_rows = 1};
  EXPECT_EQ(tiny.work(shape).int8_ops - plain.work(shape).int8_ops, 2 * 32 * 64 * (5 + 1));
  EXPECT_EQ(tiny.work(shape).bytes - plain.work(shape).bytes, 5 * 64 * kQ8 + 2 * 32 * 64 * kQ8) << "rows of the table, and both projections";
}

}  // namespace
}  // namespace carat
