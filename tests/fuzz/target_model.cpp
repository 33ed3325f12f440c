#include "formats/checkpoint.h"
#include "fuzz/targets.h"
#include "support/single_sequence.h"

namespace carat::fuzz {

// What was accepted is loaded and run for a few tokens: no number of the file may lead outside of a buffer.
void run_model(const std::filesystem::path& path) {
  static const std::unique_ptr<Ops> ops = make_cpu_ops({1, ""});
  const auto model = Model::load(Checkpoint::open(path), *ops);
  const auto vocab = static_cast<int32_t>(model->config().vocab_size);
  test::SingleSequence sequence(*model, *ops, DType::f16, 24);
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 19; ++i) prompt.push_back(i * 31 % vocab);
  static_cast<void>(sequence.run(prompt, false));
  static_cast<void>(sequence.run({vocab - 1}));
}

}  // namespace carat::fuzz
