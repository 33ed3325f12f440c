// Quantised files: the KL divergence from the same weights dequantised (float64 reference) against llama.cpp's on the same file, position by position.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "support/golden.h"
#include "support/kl.h"
#include "support/single_sequence.h"

namespace carat {
namespace {

struct Statistics {
  double mean = 0, standard_error = 0;
  explicit Statistics(const std::vector<double>& v) {
    for (double x : v) mean += x / static_cast<double>(v.size());
    double square = 0;
    for (double x : v) square += (x - mean) * (x - mean);
    standard_error = std::sqrt(square / static_cast<double>(v.size() - 1) / static_cast<double>(v.size()));
  }
};

TEST(QuantisedKl, NoLargerThanLlamaCpp) {
  if (!test::have_golden()) GTEST_SKIP() << "reference cases are not at " << test::shared_dir();
  const auto here = std::filesystem::path(CARAT_SOURCE_DIR) / "tests" / "golden";
  const Json theirs = test::read_json(here / "llama_kl.json");
  for (const auto& [file, record] : theirs.at("files").items()) {
    const std::string model = file.substr(0, file.find('/')), type = file.substr(file.find('/') + 1);
    const auto reference = Checkpoint::open(here / "dequantised" / (model + "-" + type + ".safetensors"));
    auto ops = make_cpu_ops({.num_threads = 2});
    auto loaded = Model::load(Checkpoint::open(test::golden("models/" + model + "/gguf/model-" + type + ".gguf")), *ops);
    std::vector<double> ours, difference;
    for (const std::string& name : test::text_cases()) {
      const test::TextCase c = test::load_text_case(model, name);
      const std::vector<float> want = reference->at(name).to_f32();
      const auto llama = record.at("cases").at(name).at("kl").get<std::vector<double>>();
      ASSERT_EQ(llama.size(), c.ids.size());
      test::SingleSequence sequence(*loaded, *ops, DType::f32, static_cast<int32_t>(c.ids.size()));
      Tensor logits = sequence.run(c.ids);
      for (int64_t r = 0; r < logits.rows; ++r) {
        ours.push_back(test::kl(&want[static_cast<size_t>(r * logits.cols)], test::log_softmax(logits.row(r), logits.cols)));
        difference.push_back(ours.back() - llama[static_cast<size_t>(r)]);
      }
    }
    const Statistics mine(ours), delta(difference);
    std::sort(ours.begin(), ours.end());
    std::cout << file << ": mean KL " << mine.mean << " +- " << mine.standard_error << ", 99th percentile " << ours[ours.size() * 99 / 100] << "; llama.cpp "
              << record.at("runs").at("quantised_prefill").at("mean").get<double>() << "; difference " << delta.mean << " +- " << delta.standard_error << "\n";
    EXPECT_LE(delta.mean, delta.standard_error) << file;
  }
}

}  // namespace
}  // namespace carat
