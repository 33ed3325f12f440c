// A file that was whole when it was opened and is cut short before its weights are read: one clear error, however late in the file the cut is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/model.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

TEST(LateError, ATensorOfTheLastLayerThatIsGoneIsNamedAsAShorterFile) {
  for (const char* name : {"tiny-e2b-Q4_K_M.gguf", "tiny-gemma3-Q4_K_M.gguf"})
    for (const int threads : {1, 2}) {
      const fs::path path = fs::path(testing::TempDir()) / ("carat_late_error_" + std::to_string(::getpid()) + ".gguf");
      fs::copy_file(fs::path(CARAT_SOURCE_DIR) / "tests/golden/models" / name, path, fs::copy_options::overwrite_existing);
      const auto checkpoint = Checkpoint::open(path);
      int last = 0;
      while (checkpoint->find("blk." + std::to_string(last + 1) + ".ffn_down.weight")) ++last;
      ASSERT_GT(last, 0) << name;
      const TensorInfo& tensor = checkpoint->at("blk." + std::to_string(last) + ".ffn_down.weight");
      fs::resize_file(path, tensor.offset + tensor.nbytes / 2);
      const auto ops = make_cpu_ops({.num_threads = threads});
      std::string said;
      try {
        Model::load(checkpoint, *ops);
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), ErrorCode::io);
        said = e.what();
      }
      EXPECT_NE(said.find("the file became shorter"), std::string::npos) << name << ", " << threads << " threads: " << said;
      EXPECT_NE(said.find(path.string()), std::string::npos) << said;
      fs::remove(path);
    }
}

}  // namespace
}  // namespace carat
