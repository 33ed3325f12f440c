// Contexts of many splits: the same bits for any number of threads and any chunks, though the work is shared out in different ways.
#include <gtest/gtest.h>

#include <cstring>

#include "support/golden.h"
#include "support/single_sequence.h"

namespace carat {
namespace {

std::vector<float> last_logits(const std::string& model, int threads, size_t chunk, const std::vector<int32_t>& ids) {
  auto ops = make_cpu_ops({.num_threads = threads, .isa = ""});
  auto loaded = Model::load(Checkpoint::open(test::golden("models/" + model + "/hf")), *ops);
  test::SingleSequence s(*loaded, *ops, DType::f16, static_cast<int32_t>(ids.size()));
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

}  // namespace
}  // namespace carat
