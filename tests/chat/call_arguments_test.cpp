// Arguments typed by the schemas of tools.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/json.h"
#include "chat/argument_types.h"
#include "chat/call_parser.h"

namespace carat {
namespace {

Json tool(const Json& parameters) {
  Json function = {{"name", "f"}, {"parameters", parameters}};
  return Json::array({{{"type", "function"}, {"function", function}}});
}

// `arguments`: the inside of the braces, ~ for a string marker.
Json typed(const Json& parameters, std::string_view arguments) {
  CallText call{"call:f{", {}};
  for (const char c : arguments) {
    if (c == '~') {
      call.marks.push_back(call.text.size());
    } else {
      call.text += c;
    }
  }
  call.text += '}';
  const ParsedCall parsed = parse_call(call);
  EXPECT_EQ(parsed.outcome, ParsedCall::Outcome::whole) << arguments;
  return ArgumentTypes(tool(parameters)).typed("f", parsed.arguments, call.text.size());
}

// The argument a of `a:VALUE` for a schema of a.
std::string a(std::string_view schema, std::string_view value) {
  const Json parameters = {{"type", "object"}, {"properties", {{"a", parse_json(schema, "schema")}}}};
  return typed(parameters, "a:" + std::string(value)).at("a").dump();
}

TEST(CallArguments, AStringIsWantedWhereAnotherScalarWasWritten) {
  const std::string_view string = R"({"type":"string"})";
  EXPECT_EQ(a(string, "1234"), R"("1234")");
  EXPECT_EQ(a(string, "1.10"), R"("1.10")");  // as written, not as the number prints
  EXPECT_EQ(a(string, "12345678901234567890123"), R"("12345678901234567890123")");
  EXPECT_EQ(a(string, "True"), R"("True")");
  EXPECT_EQ(a(string, "word"), R"("word")");
  EXPECT_EQ(a(string, "~3~"), R"("3")");
  EXPECT_EQ(a(R"({"type":"STRING"})", "5"), R"("5")");
  EXPECT_EQ(a(string, "null"), "null");  // nothing was given
  EXPECT_EQ(a(string, "[1]"), "[1]");    // no text can be told from it
  EXPECT_EQ(a(R"({"type":"string","nullable":true})", "null"), "null");
  EXPECT_EQ(a(R"({"type":["string","null"]})", "None"), "null");
  EXPECT_EQ(a(R"({"type":["string","null"]})", "7"), R"("7")");
}

TEST(CallArguments, NumbersAndTruthsInStringsAreRead) {
  EXPECT_EQ(a(R"({"type":"integer"})", "~3~"), "3");
  EXPECT_EQ(a(R"({"type":"integer"})", "~ -3 ~"), "-3");
  EXPECT_EQ(a(R"({"type":"integer"})", "\"3\""), "3");
  EXPECT_EQ(a(R"({"type":"integer"})", "3.0"), "3");
  EXPECT_EQ(a(R"({"type":"integer"})", "1e3"), "1000");
  EXPECT_EQ(a(R"({"type":"integer"})", "~9223372036854775807~"), "9223372036854775807");
  EXPECT_EQ(a(R"({"type":"integer"})", "1e30"), "1e+30");
  EXPECT_EQ(a(R"({"type":"number"})", "~2.5~"), "2.5");
  EXPECT_EQ(a(R"({"type":"number"})", "3"), "3");
  EXPECT_EQ(a(R"({"type":"boolean"})", "~true~"), "true");
  EXPECT_EQ(a(R"({"type":"boolean"})", "~False~"), "false");
  EXPECT_EQ(a(R"({"type":"boolean"})", "FALSE"), "false");
  EXPECT_EQ(a(R"({"type":["integer","null"]})", "~null~"), "null");
  EXPECT_EQ(a(R"({"type":"integer","nullable":true})", "~None~"), "null");
  EXPECT_EQ(a(R"({"type":"integer","nullable":false})", "~None~"), R"("None")");
}

TEST(CallArguments, WhatDoesNotFitStaysAsItIs) {
  EXPECT_EQ(a(R"({"type":"integer"})", "3.5"), "3.5");
  EXPECT_EQ(a(R"({"type":"integer"})", "~3.5~"), R"("3.5")");
  EXPECT_EQ(a(R"({"type":"integer"})", "~three~"), R"("three")");
  EXPECT_EQ(a(R"({"type":"integer"})", "~007~"), R"("007")");
  EXPECT_EQ(a(R"({"type":"number"})", "~1e999~"), R"("1e999")");
  EXPECT_EQ(a(R"({"type":"boolean"})", "1"), "1");
  EXPECT_EQ(a(R"({"type":"boolean"})", "~yes~"), R"("yes")");
  EXPECT_EQ(a(R"({"type":"array"})", "{k:1}"), R"({"k":1})");
  EXPECT_EQ(a(R"({"type":"object"})", "[1]"), "[1]");
  EXPECT_EQ(a(R"({"type":"object"})", "~{broken~"), R"("{broken")");
  EXPECT_EQ(a(R"({"type":"object"})", "~{\"k\":1,\"k\":2}~"), R"("{\"k\":1,\"k\":2}")");
  EXPECT_EQ(a(R"({"type":"integer"})", "null"), "null");
  EXPECT_EQ(a(R"({"type":"martian"})", "~3~"), R"("3")");
  EXPECT_EQ(a(R"(true)", "~3~"), R"("3")");
  EXPECT_EQ(a(R"(false)", "~3~"), R"("3")");
  EXPECT_EQ(a(R"({})", "~3~"), R"("3")");
}

TEST(CallArguments, JsonInStringsIsReadWhereItIsWanted) {
  EXPECT_EQ(a(R"({"type":"object"})", R"(~{"k":[1,"x"]}~)"), R"({"k":[1,"x"]})");
  EXPECT_EQ(a(R"({"type":"array"})", R"(~[1, 2]~)"), "[1,2]");
  EXPECT_EQ(a(R"({"type":"string"})", R"(~{"k":1}~)"), R"("{\"k\":1}")");
  EXPECT_EQ(a(R"({"type":["object","string"]})", R"(~{"k":1}~)"), R"("{\"k\":1}")");
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(a(R"({"type":"array"})", "~" + deep + "~"), "\"" + deep + "\"");  // no deeper than a call may be
}

TEST(CallArguments, Enumerations) {
  EXPECT_EQ(a(R"({"type":"string","enum":["1","2"]})", "2"), R"("2")");
  EXPECT_EQ(a(R"({"type":"string","enum":["True","False"]})", "True"), R"("True")");
  EXPECT_EQ(a(R"({"type":"string","enum":["c","f"]})", "c"), R"("c")");
  EXPECT_EQ(a(R"({"type":"string","enum":["c","f"]})", "3"), R"("3")");  // not one of them, but of the type
  EXPECT_EQ(a(R"({"type":"integer","enum":[1,2]})", "~2~"), "2");
  EXPECT_EQ(a(R"({"enum":[1,"2",true,null]})", "~1~"), "1");
  EXPECT_EQ(a(R"({"enum":[1,"2",true,null]})", "2"), R"("2")");
  EXPECT_EQ(a(R"({"enum":[1,"2",true,null]})", "~true~"), "true");
  EXPECT_EQ(a(R"({"enum":["null",null]})", "null"), "null");
  EXPECT_EQ(a(R"({"enum":["null",null]})", "~null~"), R"("null")");
  EXPECT_EQ(a(R"({"const":"7"})", "7"), R"("7")");
}

TEST(CallArguments, NestedValues) {
  const Json schema = parse_json(R"({"type":"object","properties":{
      "list":{"type":"array","items":{"type":"string"}},
      "pair":{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":{"type":"boolean"}},
      "deep":{"type":"object","properties":{"rows":{"type":"array","items":{"type":"object","properties":{"id":{"type":"string"}}}}},
              "additionalProperties":{"type":"number"}}}})",
                                 "schema");
  EXPECT_EQ(typed(schema, "list:[1,~a~,true],pair:[1,~2~,~true~,~false~]").dump(), R"({"list":["1","a","true"],"pair":["1",2,true,false]})");
  EXPECT_EQ(typed(schema, "deep:{rows:[{id:1,other:2},{id:~b~}],extra:~1.5~},unknown:~1~").dump(),
            R"({"deep":{"rows":[{"id":"1","other":2},{"id":"b"}],"extra":1.5},"unknown":"1"})");
  EXPECT_EQ(typed(schema, "list:~[1,2]~,list:[3],z:1,list:[4]").dump(), R"({"list":["4"],"z":1})");  // the last one counts, at the first one's place
}

TEST(CallArguments, Alternatives) {
  EXPECT_EQ(a(R"({"anyOf":[{"type":"string"},{"type":"null"}]})", "5"), R"("5")");
  EXPECT_EQ(a(R"({"anyOf":[{"type":"string"},{"type":"null"}]})", "null"), "null");
  EXPECT_EQ(a(R"({"anyOf":[{"type":"string"},{"type":"integer"}]})", "5"), "5");  // as it is, before any change
  EXPECT_EQ(a(R"({"anyOf":[{"type":"integer"},{"type":"string"}]})", "~5~"), R"("5")");
  EXPECT_EQ(a(R"({"oneOf":[{"type":"integer"},{"type":"boolean"}]})", "~true~"), "true");
  EXPECT_EQ(a(R"({"allOf":[{"type":"string"}]})", "5"), R"("5")");
  EXPECT_EQ(a(R"({"anyOf":[{"type":"integer"},{"type":"boolean"}]})", "~word~"), R"("word")");
  EXPECT_EQ(a(R"({"anyOf":[{"type":"string","enum":["x"]},{"type":"integer"}]})", "7.0"), "7");  // a word, but none of those
  // The branch whose required members are there.
  const std::string_view shapes = R"({"anyOf":[{"type":"object","properties":{"r":{"type":"string"}},"required":["r","kind"]},
                                               {"type":"object","properties":{"r":{"type":"number"}},"required":["r"]}]})";
  EXPECT_EQ(a(shapes, "{r:~2~}"), R"({"r":2})");
  EXPECT_EQ(a(shapes, "{r:2,kind:1}"), R"({"r":2,"kind":1})");  // fits the second without a change
  EXPECT_EQ(a(shapes, "{r:word,kind:1}"), R"({"r":"word","kind":1})");
}

TEST(CallArguments, References) {
  const Json schema = parse_json(R"({"type":"object","properties":{"a":{"$ref":"#/$defs/node"},"b":{"$ref":"#/$defs/x~1y"},"c":{"$ref":"#/nowhere/at"},
      "d":{"$ref":"http://elsewhere/#"},"e":{"$ref":"#/$defs/loop"},"f":{"$ref":7}},
      "$defs":{"node":{"type":"object","properties":{"id":{"type":"string"},"next":{"$ref":"#/$defs/node"}}},"x/y":{"type":"integer"},
               "loop":{"anyOf":[{"$ref":"#/$defs/loop"},{"$ref":"#/$defs/loop"}]}}})",
                                 "schema");
  EXPECT_EQ(typed(schema, "a:{id:1,next:{id:2,next:{id:3}}},b:~4~").dump(), R"({"a":{"id":"1","next":{"id":"2","next":{"id":"3"}}},"b":4})");
  EXPECT_EQ(typed(schema, "c:~1~,d:~2~,e:~3~,f:~4~").dump(), R"({"c":"1","d":"2","e":"3","f":"4"})");
}

TEST(CallArguments, SchemasThatAreNone) {
  for (const std::string_view schema :
       {"null", "[]", "7", R"({"type":7,"properties":[],"enum":3})", R"({"type":"object","properties":{"a":null}})",
        R"({"type":"object","properties":{"a":[1]},"required":7,"additionalProperties":[]})", R"({"type":"array","items":7})"}) {
    EXPECT_EQ(typed(parse_json(schema, "schema"), "a:1,b:[~x~,{c:null}]").dump(), R"({"a":1,"b":["x",{"c":null}]})") << schema;
  }
  CallText call{"call:g{a:1}", {}};
  for (const Json& tools : {Json(), Json(7), Json::array({1, Json::object(), {{"function", 3}}}), tool({{"type", "object"}})}) {
    EXPECT_EQ(ArgumentTypes(tools).typed("g", parse_call(call).arguments, call.text.size()).dump(), R"({"a":1})");
  }
}

TEST(CallArguments, TimeIsBoundedWhateverTheSchema) {
  // Alternatives within alternatives, 2^14 ways; a schema of many properties for a call of many arguments; a long enumeration for a long list.
  Json branches = {{"type", "integer"}};
  for (int i = 0; i < 14; ++i) branches = {{"anyOf", Json::array({branches, branches})}};
  Json many = Json::object();
  for (int i = 0; i < 50000; ++i) append_member(many, fmt::format("k{}", 99999 - i), {{"type", "string"}});
  Json words = Json::array();
  for (int i = 0; i < 20000; ++i) words.push_back(fmt::format("w{}", i));
  std::string members, list = "w:[";
  for (int i = 0; i < 100000; ++i) members += fmt::format("k{}:{},", i, i), list += fmt::format("{},", i);
  const Json schema = {
      {"type", "object"}, {"properties", {{"a", branches}, {"w", {{"type", "array"}, {"items", {{"enum", words}}}}}}}, {"additionalProperties", false}};
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(typed(schema, "a:word").dump(), R"({"a":"word"})");
  EXPECT_EQ(typed(schema, list + "]").at("w").size(), 100000U);
  const Json all = typed({{"type", "object"}, {"properties", many}}, members);
  EXPECT_EQ(all.size(), 100000U);
  EXPECT_EQ(all.front(), 0);
  EXPECT_EQ(all.back(), "99999");
  // A reference to itself, with a call that would allow for millions of steps.
  const Json loop = parse_json(R"({"properties":{"a":{"$ref":"#/properties/a"}}})", "schema");
  EXPECT_EQ(typed(loop, fmt::format("b:{},a:7", std::string(1 << 20, 'x'))).at("a"), 7);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), 20);
}

}  // namespace
}  // namespace carat
