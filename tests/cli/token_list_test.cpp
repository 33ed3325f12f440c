#include "cli/token_list.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace carat::cli {
namespace {

TEST(TokenList, ReadsIds) {
  EXPECT_EQ(parse_token_ids(" [2, 0,99]\n", "here", 100), (std::vector<int32_t>{2, 0, 99}));
  EXPECT_TRUE(parse_token_ids("[]", "here", 100).empty());
}

TEST(TokenList, RefusesWhatIsNoId) {
  for (const char* text :
       {"", "2", "{}", "[100]", "[-1]", "[1.0]", "[true]", "[null]", "[\"2\"]", "[[2]]", "[4294967298]", "[18446744073709551616]", "[2", "[2],"}) {
    EXPECT_THROW(parse_token_ids(text, "here", 100), Error) << text;
  }
  try {
    parse_token_ids("[1, 2, 100]", "here", 100);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("here item 2"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace carat::cli
