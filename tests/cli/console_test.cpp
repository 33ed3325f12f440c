#include "cli/console.h"

#include <gtest/gtest.h>

namespace carat::cli {
namespace {

TEST(TerminalSafe, KeepsTextAsItIs) {
  const std::string text = "plain, \t tabs\nlines, \xc3\xa9, \xe2\x96\x81, \xf0\x9f\x98\x80, \xc2\xa0";
  EXPECT_EQ(terminal_safe(text), text);
  EXPECT_EQ(terminal_safe(""), "");
}

TEST(TerminalSafe, SpellsControlCharactersOut) {
  EXPECT_EQ(terminal_safe("\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
  EXPECT_EQ(terminal_safe(std::string_view("\0\r\x7f", 3)), "\\x00\\x0d\\x7f");
  EXPECT_EQ(terminal_safe("\xc2\x9b"
                          "31m"),
            "\\x9b31m");  // the one-character form of ESC [
}

TEST(JsonForTerminal, StaysJsonAndHoldsNoControlCharacters) {
  const std::string json = "{\"text\":\"\xc3\xa9\xc2\xa0\\u001b \xc2\x9b\x7f\xc2\x80\"}";
  EXPECT_EQ(json_for_terminal(json), "{\"text\":\"\xc3\xa9\xc2\xa0\\u001b \\u009b\\u007f\\u0080\"}");
}

TEST(TerminalSafe, ReplacesEachByteThatIsNoUtf8) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(terminal_safe("a\xff"
                          "b"),
            "a" + bad + "b");
  EXPECT_EQ(terminal_safe("\x80"), bad);
  EXPECT_EQ(terminal_safe("\xc3"), bad);                      // cut short
  EXPECT_EQ(terminal_safe("\xc0\x80"), bad + bad);            // overlong
  EXPECT_EQ(terminal_safe("\xed\xa0\x80"), bad + bad + bad);  // surrogate
  EXPECT_EQ(terminal_safe("\xf4\x90\x80\x80"), bad + bad + bad + bad);
  EXPECT_EQ(terminal_safe("\xe2\x82"), bad + bad);
}

}  // namespace
}  // namespace carat::cli
