// Contexts of many splits: the same bits for any number of threads and any chunks, though the work is shared out in different ways.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "support/golden.h"
#include "support/single_sequence.h"

namespace carat {
namespace {

std::vector<float> last_logits(const std::string& model, int threads, size_t chunk, const std::vector<int32_t>& ids, DType kv = DType::f16) {
  auto ops = make_cpu_ops({.num_threads = threads, .isa = ""});
  auto loaded = Model::load(Checkpoint::open(test::golden("models/" + model + "/hf")), *ops);
  test::SingleSequence s(*loaded, *ops, kv, static_cast<int32_t>(ids.size()));
  Tensor logits;
  for (size_t at = 0; at < ids.size(); at += chunk)
    logits = s.run({ids.begin() + static_cast<int64_t>(at), ids.begin() + static_cast<int64_t>(std::min(at + chunk, ids.size()))}, false);
  return {logits.data, logits.data + logits.size()};
}

TEST(LongContext, ThreadsAndChunksDoNotChangeABit) {
  if (!test::have_golden()) GTEST_SKIP() << "reference cases are not at " << test::shared_dir();
  std::vector<int32_t> ids;
  for (int i = 0; i < 1501; ++i) ids.push_back(i == 0 ? 2 : 20 + i * 7919 % 700);
  for (const std::string model : {"tiny-e2b", "tiny-26b", "tiny-gemma3"}) {
    const std::vector<float> want = last_logits(model, 1, ids.size(), ids);
    for (int threads : {1, 2, 5})
      for (size_t chunk : {size_t{100}, size_t{1500}, ids.size()}) {  // 1500: the last row alone, which is decode at depth
        const std::vector<float> got = last_logits(model, threads, chunk, ids);
        ASSERT_EQ(got.size(), want.size());
        EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << model << ", " << threads << " threads, chunks of " << chunk;
      }
  }
}

// The cache in q8 keeps to the same rule, and stays near the cache in f32.
TEST(LongContext, ACacheInQ8) {
  if (!test::have_golden()) GTEST_SKIP() << "reference cases are not at " << test::shared_dir();
  for (const std::string model : {"tiny-e2b", "tiny-31b", "tiny-gemma3"}) {
    const test::TextCase c = test::load_text_case(model, "long");
    const std::vector<float> want = last_logits(model, 1, c.ids.size(), c.ids, DType::q8_0);
    for (size_t chunk : {size_t{1}, size_t{7}})
      EXPECT_EQ(std::memcmp(last_logits(model, 2, chunk, c.ids, DType::q8_0).data(), want.data(), want.size() * sizeof(float)), 0)
          << model << ", chunks of " << chunk;
    const std::vector<float> exact = last_logits(model, 1, c.ids.size(), c.ids, DType::f32);
    auto ref = make_ref_ops();
    auto loaded = Model::load(Checkpoint::open(test::golden("models/" + model + "/hf")), *ref);
    test::SingleSequence s(*loaded, *ref, DType::q8_0, static_cast<int32_t>(c.ids.size()));
    const Tensor plain = s.run(c.ids, false);
    double from_exact = 0, from_ref = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      from_exact += std::abs(double{want[i]} - exact[i]) / static_cast<double>(want.size());
      from_ref += std::abs(double{want[i]} - plain.data[i]) / static_cast<double>(want.size());
    }
    EXPECT_GT(from_exact, 0) << model;
    EXPECT_LT(from_exact, 1.0) << model;
    EXPECT_LT(from_ref, from_exact / 2) << model << ": the plain backend keeps the same q8";
    RecordProperty(model, std::to_string(from_exact) + " " + std::to_string(from_ref));
  }
}

}  // namespace
}  // namespace carat
