// Watching a model changes nothing, and what is seen is what the matrices were multiplied with.
#include "quant/importance.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "model/model.h"
#include "model/weights.h"
#include "quant/divergence.h"
#include "quant/observing_ops.h"
#include "quant/text_run.h"
#include "support/golden.h"

namespace carat::quant {
namespace {

std::filesystem::path tiny(const char* name) { return std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models" / name; }

std::vector<int32_t> some_ids(size_t n) {
  std::vector<int32_t> ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>(5 + i * 7919 % 700);
  return ids;
}

// Two committed models, and one with experts where the full set of golden files is.
std::vector<std::filesystem::path> models() {
  std::vector<std::filesystem::path> out = {tiny("tiny-e2b-Q4_K_M.gguf"), tiny("tiny-gemma3-Q4_K_M.gguf")};
  if (test::have_golden()) out.push_back(test::golden("models/tiny-26b/gguf/model-Q4_K_M.gguf"));
  return out;
}

std::vector<float> final_norms(const std::filesystem::path& path, bool watched, int* seen) {
  std::unique_ptr<Ops> ops = make_cpu_ops({.num_threads = 2});
  ObservingOps* observing = nullptr;
  if (watched) {
    auto o = std::make_unique<ObservingOps>(std::move(ops));
    observing = o.get();
    ops = std::move(o);
  }
  const auto model = Model::load(Checkpoint::open(path), *ops);
  std::vector<float> out;
  ops->tap = [&](const char* name, int64_t, Tensor x) {
    if (std::string_view(name) == "final_norm") out.assign(x.data, x.data + x.size());
  };
  if (observing) {
    observing->on_linear = [&](const Linear&, Tensor) { ++*seen; };
    observing->on_expert = [&](const ExpertStack&, int64_t, Tensor, Tensor) { ++*seen; };
  }
  TextRun(*model, *ops).run(some_ids(40), kWindow, [](int32_t, Tensor) {});
  return out;
}

TEST(Importance, WatchingChangesNoBit) {
  for (const auto& path : models()) {
    int seen = 0;
    const std::vector<float> plain = final_norms(path, false, nullptr), watched = final_norms(path, true, &seen);
    ASSERT_FALSE(plain.empty());
    EXPECT_EQ(plain, watched) << path;
    EXPECT_GT(seen, 10);
  }
}

TEST(Importance, EveryMatrixOfTheLayersHasSome) {
  for (const auto& path : models()) {
    const auto checkpoint = Checkpoint::open(path);
    const Importance importance = collect_importance(checkpoint, some_ids(300), 2, {.num_threads = 2});
    int64_t matrices = 0;
    for (const TensorInfo& t : checkpoint->tensors()) {
      if (!is_quantised(t.dtype) || t.name.find("token_embd") != std::string::npos) continue;
      const auto found = importance.find(t.name);
      // Layers that read another's K/V have these, and do not use them.
      if (t.name.find("attn_k.") != std::string::npos || t.name.find("attn_v.") != std::string::npos) continue;
      ASSERT_NE(found, importance.end()) << t.name;
      const int64_t stack = t.shape.size() == 3 ? t.shape[0] : 1;
      EXPECT_EQ(static_cast<int64_t>(found->second.size()), t.cols() * stack) << t.name;
      EXPECT_GT(std::accumulate(found->second.begin(), found->second.end(), 0.0), 0) << t.name;
      for (const float v : found->second) ASSERT_GE(v, 0) << t.name;
      ++matrices;
    }
    EXPECT_GT(matrices, 20);
  }
}

TEST(Importance, ItIsTheMeanOfSquaresOfTheInputs) {
  const auto checkpoint = Checkpoint::open(tiny("tiny-gemma3-Q4_K_M.gguf"));
  const std::vector<int32_t> ids = some_ids(700);  // two windows
  const Importance importance = collect_importance(checkpoint, ids, 2, {.num_threads = 2});
  // The same by hand for what comes first and last in the first layer: queries' input, and the down matrix's.
  ObservingOps ops(make_cpu_ops({.num_threads = 1}));
  auto config = read_config(*checkpoint);
  auto weights = load_weights(checkpoint, *config, ops, {});
  const std::byte *q = weights->layers[0].q_proj.data.get(), *down = weights->layers[0].mlp.down.data.get();
  const auto model = Model::from_parts(std::move(config), std::move(weights));
  std::map<const std::byte*, std::vector<double>> sums;
  std::map<const std::byte*, int64_t> rows;
  ops.on_linear = [&](const Linear& w, Tensor x) {
    std::vector<double>& sum = sums[w.data.get()];
    sum.resize(static_cast<size_t>(x.cols));
    for (int64_t i = 0; i < x.size(); ++i) sum[static_cast<size_t>(i % x.cols)] += static_cast<double>(x.data[i]) * static_cast<double>(x.data[i]);
    rows[w.data.get()] += x.rows;
  };
  TextRun text(*model, ops);
  for (const auto& window : windows_of(ids, 2)) text.run(window, kWindow, [](int32_t, Tensor) {});
  for (const auto& [name, data] : {std::pair<const char*, const std::byte*>{"blk.0.attn_q.weight", q}, {"blk.0.ffn_down.weight", down}}) {
    EXPECT_EQ(rows[data], 702) << "each window begins with <bos>";
    const std::vector<float>& ours = importance.at(name);
    for (size_t i = 0; i < ours.size(); ++i) ASSERT_FLOAT_EQ(ours[i], static_cast<float>(sums[data][i] / 702)) << name << " " << i;
  }
}

TEST(Importance, WindowsCoverTheText) {
  const std::vector<int32_t> ids = some_ids(1200);
  std::vector<int32_t> joined;
  for (const auto& window : windows_of(ids, 2)) {
    EXPECT_EQ(window[0], 2);
    EXPECT_LE(window.size(), static_cast<size_t>(kWindow));
    joined.insert(joined.end(), window.begin() + 1, window.end());
  }
  EXPECT_EQ(joined, ids);
  EXPECT_EQ(windows_of(std::span(ids).first(513), -1).size(), 1u) << "a window of one token has nothing to predict";
  EXPECT_TRUE(windows_of({}, 2).empty());
  EXPECT_THROW(collect_importance(Checkpoint::open(tiny("tiny-gemma3-Q4_K_M.gguf")), {}, 2, {}), Error);
}

TEST(Divergence, OfAModelFromItselfIsNothing) {
  const auto checkpoint = Checkpoint::open(tiny("tiny-e2b-Q4_K_M.gguf"));
  const Divergence d = measure_divergence(checkpoint, checkpoint, some_ids(700), 2, testing::TempDir(), {.num_threads = 2});
  EXPECT_EQ(d.positions, kDivergencePositions);
  EXPECT_EQ(d.largest, 0);
  EXPECT_EQ(d.same_best, 1);
  EXPECT_EQ(d.perplexity_before, d.perplexity_after);
  EXPECT_GT(d.perplexity_before, 1);
}

TEST(Divergence, NothingToCompareAndInterruptionsAreErrors) {
  const auto e2b = Checkpoint::open(tiny("tiny-e2b-Q4_K_M.gguf"));
  EXPECT_THROW(measure_divergence(e2b, e2b, some_ids(0), 2, testing::TempDir(), {}), Error);
  RunOptions stopped;
  stopped.going_on = [] { return false; };
  EXPECT_THROW(measure_divergence(e2b, e2b, some_ids(50), 2, testing::TempDir(), stopped), Error);
}

}  // namespace
}  // namespace carat::quant
