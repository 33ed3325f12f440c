// Every entry of corpus/ was a finding once, or stands for a kind of attack: it must end well or with carat::Error.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "fuzz/targets.h"

namespace carat::fuzz {
namespace {

TEST(Corpus, EveryEntryIsReadOrRefused) {
  const std::filesystem::path corpus = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/fuzz/corpus";
  ASSERT_TRUE(std::filesystem::is_directory(corpus));
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    if (entry.path().extension() == ".md") continue;
    SCOPED_TRACE(entry.path().string());
    ++entries;
    for (const Target& target : targets()) {
      try {
        target.run(entry.path());
      } catch (const Error& e) {
        EXPECT_NE(e.code(), ErrorCode::internal) << target.name << ": " << e.what();
        EXPECT_EQ(std::string_view(e.what()).find('\n'), std::string_view::npos) << target.name << ": " << e.what();
      } catch (const std::exception& e) {
        ADD_FAILURE() << target.name << ": " << e.what();
      }
    }
  }
  EXPECT_GT(entries, 0);
}

}  // namespace
}  // namespace carat::fuzz
