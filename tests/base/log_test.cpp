#include "base/log.h"

#include <gtest/gtest.h>

#include <vector>

namespace carat {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::set_level(log::Level::info);
    log::set_sink([this](log::Level, const std::string& line) { lines_.push_back(line); });
  }
  void TearDown() override {
    log::set_sink({});
    log::set_level(log::Level::warning);
  }
  std::vector<std::string> lines_;
};

TEST_F(LogTest, WritesMessageAndFieldsOnOneLine) {
  log::info("model loaded", {{"layers", 35}, {"seconds", 0.5}, {"packed", true}, {"path", "a b"}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0], "carat: info: model loaded layers=35 seconds=0.5 packed=true path=\"a b\"");
}

TEST_F(LogTest, KeepsBelowTheLevelSilent) {
  log::debug("too much detail");
  log::set_level(log::Level::error);
  log::warning("not now");
  EXPECT_TRUE(lines_.empty());
}

TEST_F(LogTest, EscapesWhatWouldBreakTheLineOrDriveATerminal) {
  log::warning("two\nlines", {{"name", "\x1b[31m\"red\""}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0], "carat: warning: two\\x0alines name=\"\\x1b[31m\\\"red\\\"\"");
}

}  // namespace
}  // namespace carat
