#include "cli/suggest.h"

#include <gtest/gtest.h>

namespace carat::cli {
namespace {

TEST(Suggest, TheOneThatIsBegunOrOneOrTwoLettersAway) {
  const std::vector<std::string> options = {"temperature", "top-k", "top-p", "tools", "threads", "think", "no-think"};
  EXPECT_EQ(nearest_word("temp", options), "temperature");
  EXPECT_EQ(nearest_word("tempreature", options), "temperature");
  EXPECT_EQ(nearest_word("thread", options), "threads");
  EXPECT_EQ(nearest_word("tool", options), "tools");
  EXPECT_EQ(nearest_word("thinking", options), "") << "three letters away";
  EXPECT_EQ(nearest_word("top", options), "") << "it may be either";
  EXPECT_EQ(nearest_word("top-x", options), "") << "it may be either";
  EXPECT_EQ(nearest_word("t", options), "");
  EXPECT_EQ(nearest_word("", options), "");
  EXPECT_EQ(nearest_word("banana", options), "");
  EXPECT_EQ(nearest_word(std::string(100000, 'x'), options), "");
  EXPECT_EQ(nearest_word("temp", {}), "");
}

}  // namespace
}  // namespace carat::cli
