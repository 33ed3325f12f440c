#include "base/json.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "base/error.h"

namespace carat {
namespace {

ErrorCode code_of(const std::string& text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "some.json", limits);
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).substr(0, 9), "some.json");
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.code();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 100);
  return ErrorCode::internal;
}

std::string nested(int depth) { return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']'); }

TEST(Json, BuildsTheSameTreeAsTheLibrary) {
  const std::string texts[] = {R"({"b":1,"a":[true,false,null,-3,2.5,18446744073709551615,"x\u00e9\ud83d\ude00"],"c":{"d":{},"e":[]},"":"empty"})",
                               "3",
                               "\"s\"",
                               "[]",
                               "{}",
                               "null",
                               " [ 1 , [ 2 , { \"k\" : [ ] } ] ] ",
                               "[1e400]"};
  for (const std::string& text : texts) {
    if (text == "[1e400]") {
      code_of(text);  // out of range for a double
      continue;
    }
    EXPECT_EQ(parse_json(text, "some.json").dump(), Json::parse(text).dump());
  }
  EXPECT_EQ(parse_json(R"({"b":1,"a":2})", "some.json").dump(), R"({"b":1,"a":2})");  // order is kept
  EXPECT_EQ(parse_json(R"({"b":1,"a":2})", "some.json").at("a"), 2);
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "nul", "NaN", "[1] x", "\"\x80\"", "\"\\ud800\"", "01", "\"a\nb\"", "{\"a\" 1}"})
    EXPECT_EQ(code_of(text), ErrorCode::corrupt) << text;
  EXPECT_EQ(code_of(std::string("[1]\0", 4)), ErrorCode::corrupt);
}

TEST(Json, RefusesAMemberGivenTwice) {
  EXPECT_EQ(code_of(R"({"a":1,"b":2,"a":3})"), ErrorCode::corrupt);
  EXPECT_EQ(code_of(R"([{"x":{"a":1,"\u0061":3}}])"), ErrorCode::corrupt);
  EXPECT_NO_THROW(parse_json(R"([{"a":1},{"a":2}])", "some.json"));
}

TEST(Json, DepthAndSizeHaveLimits) {
  EXPECT_NO_THROW(parse_json(nested(128), "some.json"));
  EXPECT_EQ(code_of(nested(129)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(nested(1000000)), ErrorCode::corrupt);
  EXPECT_EQ(code_of("[[[1]]]", {100, 2}), ErrorCode::corrupt);
  EXPECT_EQ(code_of("[1,2]", {4, 2}), ErrorCode::exhausted);
}

TEST(Json, ManyMembersTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 300000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  text += "}";
  const std::clock_t start = std::clock();
  EXPECT_EQ(parse_json(text, "some.json").size(), 300000u);
  EXPECT_LT(std::clock() - start, 5 * CLOCKS_PER_SEC);  // quadratic: minutes
}

}  // namespace
}  // namespace carat
