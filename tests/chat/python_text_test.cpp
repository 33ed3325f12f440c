#include "chat/python_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace carat {
namespace {

TEST(PythonText, StripsWhatPythonStrips) {
  EXPECT_EQ(py_strip(""), "");
  EXPECT_EQ(py_strip(" \t\r\n\v\f"), "");
  EXPECT_EQ(py_strip("\x1c\x1d\x1e\x1f a b \xc2\x85"), "a b");
  EXPECT_EQ(py_strip("\xe2\x80\xa8\xe3\x80\x80\xc2\xa0x\xe1\x9a\x80\xe2\x81\x9f"), "x");
  EXPECT_EQ(py_strip("\xe2\x80\x8bx"), "\xe2\x80\x8bx");  // U+200B is none
  EXPECT_EQ(py_strip("\xef\xbb\xbfx"), "\xef\xbb\xbfx");  // nor is U+FEFF
  EXPECT_EQ(py_strip("\xff \xff"), "\xff \xff");
}

TEST(PythonText, LowersBeyondAscii) {
  EXPECT_EQ(py_lower("AbZ[`{"), "abz[`{");
  EXPECT_EQ(py_lower("ÀÞßŸŽΣЖԱ"), "àþßÿžσжա");
  EXPECT_EQ(py_lower("İ"), "i\xcc\x87");
  EXPECT_EQ(py_lower("Ⅷ𐐀Ａ日本"), "ⅷ𐐨ａ日本");
  EXPECT_EQ(py_lower("ĀāĂă"), "āāăă");
}

TEST(PythonText, PrintsFloatsAsReprDoes) {
  const std::pair<double, const char*> cases[] = {{3.14, "3.14"},
                                                  {15000000000.0, "15000000000.0"},
                                                  {1e-7, "1e-07"},
                                                  {0.0001, "0.0001"},
                                                  {0.00001, "1e-05"},
                                                  {1e15, "1000000000000000.0"},
                                                  {9007199254740993.0, "9007199254740992.0"},
                                                  {1e16, "1e+16"},
                                                  {1.5e300, "1.5e+300"},
                                                  {-0.0, "-0.0"},
                                                  {0.1 + 0.2, "0.30000000000000004"},
                                                  {5e-324, "5e-324"},
                                                  {std::numeric_limits<double>::max(), "1.7976931348623157e+308"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(py_float(value), text);
}

TEST(PythonText, PrintsValuesAsStrDoes) {
  const std::pair<const char*, const char*> cases[] = {{"null", "None"},
                                                       {"true", "True"},
                                                       {"-7", "-7"},
                                                       {"18446744073709551615", "18446744073709551615"},
                                                       {R"("it's")", "it's"},
                                                       {R"(["string","null"])", "['string', 'null']"},
                                                       {R"(["it's","\"","'\"","\\","a\nb\u0001é"])", R"(["it's", '"', '\'"', '\\', 'a\nb\x01é'])"},
                                                       {R"({"a":[1.0,null,{}],"b":false})", "{'a': [1.0, None, {}], 'b': False}"}};
  for (const auto& [json, text] : cases) EXPECT_EQ(py_str(parse_json(json, "test")), text);
}

}  // namespace
}  // namespace carat
