// Every tiny model, from both kinds of files, on both backends, against transformers in float32 (KV in f32).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/golden.h"
#include "support/single_sequence.h"

namespace carat {
namespace {

using test::TextCase;

struct Param {
  std::string model, file, backend;
};

void PrintTo(const Param& p, std::ostream* out) { *out << p.model << "/" << p.file << " on " << p.backend; }

std::vector<double> log_softmax(const float* logits, int64_t n) {
  const double largest = *std::max_element(logits, logits + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(logits[i] - largest);
  std::vector<double> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) out[static_cast<size_t>(i)] = logits[i] - largest - std::log(sum);
  return out;
}

std::unique_ptr<Ops> make_ops(const std::string& backend) {
  return backend == "ref" ? make_ref_ops() : make_cpu_ops({.num_threads = 2, .isa = backend == "cpu" ? "" : backend.c_str()});
}

class GoldenText : public testing::TestWithParam<Param> {};

TEST_P(GoldenText, LogitsGreedyAndLayers) {
  if (!test::have_golden()) GTEST_SKIP() << "reference cases are not at " << test::shared_dir();
  const Param& p = GetParam();
  const auto path = test::golden("models/" + p.model + "/" + p.file);
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not among the reference models";
  auto ops = make_ops(p.backend);
  auto model = Model::load(Checkpoint::open(path), *ops);
  const int64_t vocab = model->config().vocab_size;
  for (const std::string& name : test::text_cases()) {
    const TextCase c = test::load_text_case(p.model, name);
    const std::vector<float> want = c.tensor("logits");
    ASSERT_EQ(want.size(), c.ids.size() * static_cast<size_t>(vocab));

    double layer_error = 0;
    if (name == "long")
      ops->tap = [&](const char* what, int64_t layer, Tensor value) {
        const std::string key = std::string(what) == "layer" ? "layer_" + std::to_string(layer) : what;
        if (!c.tensors->find(key)) return;
        const std::vector<float> ref = c.tensor(key);
        if (key == "per_layer_inputs") {  // ours comes in two parts of the layers
          const int64_t p_dim = model->config().hidden_size_per_layer_input, layers = model->config().num_hidden_layers;
          for (int64_t r = 0; r < value.rows; ++r)
            for (int64_t i = 0; i < value.cols; ++i)
              layer_error = std::max(layer_error, std::abs(double{value.row(r)[i]} - ref[static_cast<size_t>((r * layers + layer) * p_dim + i)]));
          return;
        }
        ASSERT_EQ(ref.size(), static_cast<size_t>(value.size())) << key;
        double error = 0, scale = 0;
        for (size_t i = 0; i < ref.size(); ++i)
          error = std::max(error, std::abs(double{value.data[i]} - ref[i])), scale = std::max(scale, std::abs(double{ref[i]}));
        EXPECT_LT(error, 2e-4 * std::max(1.0, scale)) << key << " of " << c.model;
      };
    test::SingleSequence sequence(*model, *ops, DType::f32, static_cast<int32_t>(c.ids.size() + c.greedy_ids.size()));
    Tensor got = sequence.run(c.ids);
    ops->tap = nullptr;
    EXPECT_LT(layer_error, 1e-3) << "per-layer inputs";
    ASSERT_EQ(got.rows, static_cast<int64_t>(c.ids.size()));
    double worst = 0;
    for (int64_t r = 0; r < got.rows; ++r) {
      const std::vector<double> a = log_softmax(got.row(r), vocab), b = log_softmax(&want[static_cast<size_t>(r * vocab)], vocab);
      for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
    }
    RecordProperty(name + "_max_abs_logprob_difference", std::to_string(worst));
    EXPECT_LE(worst, 2 * c.tolerance) << c.model << "/" << name << ": log-probabilities";

    int32_t token = static_cast<int32_t>(std::max_element(got.row(got.rows - 1), got.row(got.rows - 1) + vocab) - got.row(got.rows - 1));
    for (size_t i = 0; i < c.greedy_ids.size() && c.greedy_margins[i] >= 0.03; ++i) {
      ASSERT_EQ(token, c.greedy_ids[i]) << c.model << "/" << name << ": greedy step " << i;
      Tensor next = sequence.run({token}, false);
      token = static_cast<int32_t>(std::max_element(next.data, next.data + vocab) - next.data);
    }
  }
}

std::vector<Param> params() {
  std::vector<Param> out;
  for (const std::string& m : test::text_models())
    for (const char* file : {"hf", "gguf/model-bf16.gguf"})
      for (const char* backend : {"ref", "cpu", "scalar"}) out.push_back({m, file, backend});
  return out;
}
INSTANTIATE_TEST_SUITE_P(All, GoldenText, testing::ValuesIn(params()), [](const testing::TestParamInfo<Param>& i) {
  std::string name = i.param.model + "_" + i.param.file.substr(0, 2) + "_" + i.param.backend;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// A folder and a GGUF made from it hold the same numbers, so they give the same bits.
TEST(GoldenFiles, FolderAndGgufAgree) {
  if (!test::have_golden()) GTEST_SKIP() << "reference cases are not at " << test::shared_dir();
  int compared = 0;
  for (const std::string& m : test::text_models()) {
    const auto gguf = test::golden("models/" + m + "/gguf/model-bf16.gguf");
    if (!std::filesystem::exists(gguf)) continue;
    const TextCase c = test::load_text_case(m, "long");
    auto ops_a = make_ops("cpu"), ops_b = make_ops("cpu");
    auto a = Model::load(Checkpoint::open(gguf), *ops_a);
    auto b = Model::load(Checkpoint::open(test::golden("models/" + m + "/hf")), *ops_b);
    test::SingleSequence sa(*a, *ops_a, DType::f32, 512), sb(*b, *ops_b, DType::f32, 512);
    Tensor x = sa.run(c.ids), y = sb.run(c.ids);
    ASSERT_EQ(x.size(), y.size());
    double worst = 0;
    for (int64_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(double{x.data[i]} - y.data[i]));
    EXPECT_LE(worst, c.tolerance) << m;
    ++compared;
  }
  EXPECT_GE(compared, 4);
}

}  // namespace
}  // namespace carat
