// The syntax of calls, text by text. The string marker is spelled <|"|> here; in an answer it is one token.
#include "chat/call_parser.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "text/random_text.h"

namespace carat {
namespace {

using Outcome = ParsedCall::Outcome;
constexpr std::string_view kMarker = "<|\"|>";

CallText spelled(std::string_view text) {
  CallText call;
  for (size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(kMarker)) {
      call.marks.push_back(call.text.size());
      at += kMarker.size();
    } else {
      call.text += text[at++];
    }
  }
  return call;
}

// "NAME {JSON}", or how it is no call.
std::string parsed(std::string_view text) {
  const CallText call = spelled(text);
  const ParsedCall result = parse_call(call);
  if (result.outcome == Outcome::cut) return "cut";
  if (result.outcome == Outcome::malformed) return "malformed";
  return std::string(result.name) + " " + to_json(result.arguments).dump();
}

struct Case {
  std::string_view text, expected;
};

void expect_all(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(parsed(c.text), c.expected) << c.text;
}

TEST(CallParser, ReadsWhatTheTemplatesWrite) {
  expect_all({{"call:empty_args{}", "empty_args {}"},
              {"call:get_time{city:<|\"|>San Francisco<|\"|>}", R"(get_time {"city":"San Francisco"})"},
              {"call:todo_list{todos:[<|\"|>buy milk<|\"|>,<|\"|>walk dog<|\"|>]}", R"(todo_list {"todos":["buy milk","walk dog"]})"},
              {"call:set_config{config:{theme:<|\"|>dark<|\"|>,count:3}}", R"(set_config {"config":{"theme":"dark","count":3}})"},
              {"call:set_nullable{value:null}", R"(set_nullable {"value":null})"},
              {"call:f{arg1:-7}", R"(f {"arg1":-7})"},
              {"call:f{a:[],b:{},c:true,d:false,e:1.5e10,f:1e-07,g:3.14}", R"(f {"a":[],"b":{},"c":true,"d":false,"e":15000000000.0,"f":1e-07,"g":3.14})"},
              {"call:f{l:[<|\"|>a<|\"|>,1,[2,[]],{k:null}]}", R"(f {"l":["a",1,[2,[]],{"k":null}]})"},
              {"call:f{s:<|\"|><|\"|>,t:<|\"|> <|\"|>}", R"(f {"s":"","t":" "})"}});
}

TEST(CallParser, StringsEndAtTheMarkerAlone) {
  expect_all({{"call:f{s:<|\"|>},b:{\"x\":[1]}\n\\n \"quoted\" 'single' <tool_call|> call:g{}<|\"|>}",
               R"(f {"s":"},b:{\"x\":[1]}\n\\n \"quoted\" 'single' <tool_call|> call:g{}"})"},
              {"call:f{s:<|\"|>true<|\"|>,n:<|\"|>12<|\"|>}", R"(f {"s":"true","n":"12"})"},
              {"call:f{s:<|\"|>日本語 😀<|\"|>}", R"(f {"s":"日本語 😀"})"}});
}

TEST(CallParser, AcceptsWhatModelsWriteInstead) {
  expect_all({
      {" call: f {\n a : 1 , b:\t[ 1 , 2 ] ,\r\n c:{ d : <|\"|>x<|\"|> } }\n", R"(f {"a":1,"b":[1,2],"c":{"d":"x"}})"},  // white space
      {"call:f{a:True,b:False,c:None}", R"(f {"a":true,"b":false,"c":null})"},
      {R"(call:f{a:"x, }y",b:["p","q"]})", R"(f {"a":"x, }y","b":["p","q"]})"},  // JSON strings
      {R"(call:f{a:"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"})", R"(f {"a":"\"\\/\b\f\n\r\té😀"})"},
      {R"(call:f{a:"C:\dir\",b:1})", "cut"},  // the quote is escaped
      {R"(call:f{a:"C:\dir"})", R"(f {"a":"C:\\dir"})"},
      {R"(call:f{a:"\ud83d",b:"\ude00x",c:"\u12",d:"\ud83d\u0041"})", "f {\"a\":\"\uFFFD\",\"b\":\"\uFFFDx\",\"c\":\"\\\\u12\",\"d\":\"\uFFFDA\"}"},
      {R"(call:f{"a":1, "b c" : 2,<|"|>d<|"|>:3,<|"|> e:f <|"|> : 4,"x:y":5})", R"(f {"a":1,"b c":2,"d":3,"e:f":4,"x:y":5})"},  // quoted keys
      {"call:f{unit:celsius,when:next Tuesday at 9}", R"(f {"unit":"celsius","when":"next Tuesday at 9"})"},                    // bare words
      {"call:f{url:http://x.y/z?q=1&r=2}", R"(f {"url":"http://x.y/z?q=1&r=2"})"},
      {R"(call:f{a:"x" or "y"})", R"(f {"a":"\"x\" or \"y\""})"},
      {"call:f{a:1,b:[1,2,],}", R"(f {"a":1,"b":[1,2]})"},  // a comma too many
      {"call:my.tool-v2 {}", "my.tool-v2 {}"},
      {"call:f{größe:1,with space:2,a,b:3,{x:4,日本:5}", R"(f {"größe":1,"with space":2,"a,b":3,"{x":4,"日本":5})"},  // odd keys
      {"call:f{:1}", R"(f {"":1})"},
  });
}

TEST(CallParser, KeysGivenTwiceKeepTheirPlaceAndTakeTheLastValue) {
  expect_all({{"call:f{a:1,b:2,a:3}", R"(f {"a":3,"b":2})"},
              {"call:f{a:{x:1,x:{y:2}},\"a\":[1]}", R"(f {"a":[1]})"},
              {"call:f{b:1,a:2,a:3,b:4,c:5,b:6}", R"(f {"b":6,"a":3,"c":5})"}});
}

TEST(CallParser, NumbersStayExactAndAreNumbersOfJson) {
  expect_all({{"call:f{a:9223372036854775807,b:-9223372036854775808,c:18446744073709551615}",
               R"(f {"a":9223372036854775807,"b":-9223372036854775808,"c":18446744073709551615})"},
              {"call:f{a:9007199254740993,b:0,c:-0}", R"(f {"a":9007199254740993,"b":0,"c":0})"},
              {"call:f{a:18446744073709551616,b:-9223372036854775809}", R"(f {"a":1.8446744073709552e+19,"b":-9.223372036854776e+18})"},
              {"call:f{a:1E5,b:2.50,c:-0.0,d:5e-324}", R"(f {"a":100000.0,"b":2.5,"c":-0.0,"d":5e-324})"},
              // What JSON cannot say stays text.
              {"call:f{a:NaN,b:Infinity,c:-Infinity,d:1e999,e:-1e999}", R"(f {"a":"NaN","b":"Infinity","c":"-Infinity","d":"1e999","e":"-1e999"})"},
              {"call:f{a:007,b:+1,c:.5,d:1.,e:0x10,f:1e,g:1_000,h:--1,i:-}",
               R"(f {"a":"007","b":"+1","c":".5","d":"1.","e":"0x10","f":"1e","g":"1_000","h":"--1","i":"-"})"},
              {"call:f{a:TRUE,b:nil,c:trueish}", R"(f {"a":"TRUE","b":"nil","c":"trueish"})"}});
}

TEST(CallParser, WhatIsNoCallIsMalformed) {
  for (const std::string_view text : {"f{}",
                                      "Call:f{}",
                                      "call f{}",
                                      "hello",
                                      "call:{}",
                                      "call: {}",
                                      "call:f{a}",
                                      "call:f{a,b}",
                                      "call:f{a:}",
                                      "call:f{a:,b:1}",
                                      "call:f{,}",
                                      "call:f{a:[,]}",
                                      "call:f{a:1]}",
                                      "call:f{a:[1}}",
                                      "call:f{}}",
                                      "call:f{} x",
                                      "call:f{}{}",
                                      "call:f{a:<|\"|>x<|\"|>y}",
                                      "call:f{a:y<|\"|>x<|\"|>}",
                                      "call:f{a:1<|\"|>}",
                                      "call:f<|\"|>x<|\"|>{}",
                                      "<|\"|>call:f{}<|\"|>",
                                      "call:f{}<|\"|>",
                                      "call:f{a<|\"|>:1}",
                                      "call:f{<|\"|>a<|\"|>b:1}",
                                      "call:f{a:\"x<|\"|>\"}",
                                      "call:f{a:{b:1}:2}"}) {
    EXPECT_EQ(parsed(text), "malformed") << text;
  }
}

TEST(CallParser, EveryBeginningOfACallIsCut) {
  const std::string text = "call:f{a:<|\"|>x<|\"|>,\"b\":[1,true,\"s\\\"t\"],c d:{e:word}}";
  EXPECT_EQ(parsed(text), R"(f {"a":"x","b":[1,true,"s\"t"],"c d":{"e":"word"}})");
  for (size_t n = 0; n < text.size(); ++n) {
    const std::string beginning = text.substr(0, n);
    const size_t marker = beginning.rfind('<');
    if (marker != std::string::npos && n - marker < kMarker.size()) continue;  // within the spelling of a marker
    EXPECT_EQ(parsed(beginning), "cut") << beginning;
  }
}

TEST(CallParser, DepthHasALimit) {
  const auto nested = [](int levels, std::string_view open, std::string_view close) {
    std::string text = "call:f{a:";
    for (int i = 0; i < levels; ++i) text += open;
    text += "1";
    for (int i = 0; i < levels; ++i) text += close;
    return text + "}";
  };
  EXPECT_NE(parsed(nested(kMaxCallDepth - 1, "[", "]")), "malformed");
  EXPECT_NE(parsed(nested(kMaxCallDepth - 1, "{k:", "}")), "malformed");
  EXPECT_EQ(parsed(nested(kMaxCallDepth, "[", "]")), "malformed");
  EXPECT_EQ(parsed(nested(kMaxCallDepth, "{k:", "}")), "malformed");
  EXPECT_EQ(parsed(nested(300000, "[", "]")), "malformed");
  EXPECT_EQ(parsed(nested(300000, "[", "")), "malformed");
}

TEST(CallParser, LongCallsTakeLinearTime) {
  const auto repeated = [](std::string_view what, size_t bytes) {
    std::string text = "call:f{a:1,";
    for (size_t i = 0; text.size() < bytes; ++i) {
      text += what;
      if (what == "k:1,") text.insert(text.size() - 3, std::to_string(i));
    }
    return text + "}";
  };
  // Of each kind a megabyte; what takes quadratic time would need minutes.
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string_view what :
       {"k:1,", "a:1,", "\"a,\"b:", "\"\\\"", "\\\"", "x:\"a\"b,", "x:[1,1,\"a\"],", " ", "\n", "[", "x:<|\"|><|\"|>,", "<|\"|>", ":"}) {
    EXPECT_NE(parsed(repeated(what, 1 << 20)), "") << what;
  }
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 30);
}

TEST(CallParser, AnyTextIsReadWithoutErrorAndComesBackAsWritten) {
  static constexpr std::string_view kParts[] = {"call:", "f",  "{", "}",    "[",    "]", ",",  ":",   "<|\"|>", "<|\"|>",
                                                "\"",    "\\", "1", "true", "null", " ", "\n", "key", "-"};
  test::RandomText random(7);
  int whole = 0;
  for (int i = 0; i < 200000; ++i) {
    std::string text = random.below(4) == 0 ? "" : "call:f{";
    for (uint32_t n = random.below(30); n > 0; --n) text += random.below(10) == 0 ? random.text(1) : std::string(kParts[random.below(std::size(kParts))]);
    text += random.below(4) == 0 ? "" : "}";
    const CallText call = spelled(text);
    EXPECT_EQ(call.with_markers(kMarker), text);
    const ParsedCall result = parse_call(call);
    if (result.outcome != Outcome::whole) continue;
    ++whole;
    EXPECT_FALSE(result.name.empty()) << text;
    EXPECT_TRUE(utf8_valid(to_json(result.arguments).dump())) << text;
  }
  EXPECT_GT(whole, 1000);  // the test is about calls, not about nonsense alone
}

// Whatever is read as a call can be said again: saved, loaded, and put into the next prompt.
TEST(CallParser, ANameThatNoToolCanHaveIsNoCall) {
  expect_all({{"call:my tool{a:1}", "malformed"},
              {"call:a<b{a:1}", "malformed"},
              {"call:a}b{a:1}", "malformed"},
              {"call:a\x01{}", "malformed"},
              {"call:my tool{a:", "malformed"},
              {"call: spaced {}", "spaced {}"},
              {"call:wetter_\xc3\xbc.v-2:x{}", "wetter_\xc3\xbc.v-2:x {}"}});
  EXPECT_EQ(parsed("call:" + std::string(256, 'n') + "{}"), std::string(256, 'n') + " {}");
  EXPECT_EQ(parsed("call:" + std::string(257, 'n') + "{}"), "malformed");
}

}  // namespace
}  // namespace carat
