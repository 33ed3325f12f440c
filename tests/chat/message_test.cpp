#include "chat/message.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace carat {
namespace {

std::string refusal(const std::string& json, bool tools = false) {
  try {
    if (tools) {
      tools_from_json(parse_json(json, "test"));
    } else {
      messages_from_json(parse_json(json, "test"));
    }
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::invalid_argument || error.code() == ErrorCode::unsupported) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << json.substr(0, 200);
  return "";
}

TEST(Message, ReadsWhatClientsSend) {
  const auto all = messages_from_json(parse_json(R"([
    {"role":"system","content":"S","refusal":null,"annotations":[]},
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:x","detail":"low"}},{"type":"input_audio","input_audio":{"data":"","format":"wav"}},
                              {"type":"video_url","video_url":"v"},{"type":"image"},{"type":"audio"},{"type":"video","path":"p"}]},
    {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
       {"function":{"name":"g","arguments":{"b":2}}},{"function":{"name":"h","arguments":""}},{"function":{"name":"i"}},{"function":{"name":"j","arguments":"nonsense"}},{"function":{"name":"k","arguments":"[1]"}}]},
    {"role":"tool","tool_call_id":"c","content":{"t":20}},
    {"role":"tool","tool_call_id":"c","content":[1,2]},
    {"role":"tool","tool_call_id":"c","name":"f","content":[{"type":"text","text":"x"}]},
    {"role":"assistant","content":[],"reasoning":"q","tool_responses":[{"name":"f","response":{"x":1}},{"response":null}]}])",
                                                 "test"));
  ASSERT_EQ(all.size(), 7u);
  using Kind = ContentPart::Kind;
  const Kind kinds[] = {Kind::text, Kind::image, Kind::audio, Kind::video, Kind::image, Kind::audio, Kind::video};
  ASSERT_EQ(all[1].content.parts.size(), std::size(kinds));
  for (size_t i = 0; i < std::size(kinds); ++i) EXPECT_EQ(all[1].content.parts[i].kind, kinds[i]) << i;
  EXPECT_EQ(all[1].content.parts[1].media["image_url"]["detail"], "low");
  EXPECT_EQ(all[1].content.parts[6].media["path"], "p");
  EXPECT_EQ(all[2].content.kind, Content::Kind::none);
  EXPECT_EQ(all[2].reasoning, "r");
  EXPECT_TRUE(all[2].reasoning_as_content);
  const char* arguments[] = {R"({"a":1})", R"({"b":2})", "{}", "{}", R"("nonsense")", R"("[1]")"};
  ASSERT_EQ(all[2].tool_calls.size(), std::size(arguments));
  for (size_t i = 0; i < std::size(arguments); ++i) EXPECT_EQ(all[2].tool_calls[i].arguments.dump(), arguments[i]);
  EXPECT_EQ(all[2].tool_calls[0].id, "c");
  EXPECT_EQ(all[2].tool_calls[1].id, "");
  EXPECT_EQ(all[3].content.kind, Content::Kind::value);
  EXPECT_EQ(all[4].content.kind, Content::Kind::value);
  EXPECT_EQ(all[5].content.kind, Content::Kind::parts);
  EXPECT_FALSE(all[6].reasoning_as_content);
  EXPECT_TRUE(all[6].content.empty());
  EXPECT_EQ(all[6].tool_responses[1].name, "");
}

TEST(Message, WrittenAndReadAgainIsTheSame) {
  const char* json = R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]},
    {"role":"assistant","content":"x","reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":[1.5,null]}"}},
      {"type":"function","function":{"name":"g","arguments":"no json"}}],"tool_responses":[{"name":"f","response":7}]},
    {"role":"assistant","content":null,"reasoning":"q"},{"role":"tool","content":42,"tool_call_id":"1","name":"f"}])";
  Json once = Json::array(), twice = Json::array();
  for (const Message& message : messages_from_json(parse_json(json, "test"))) once.push_back(message_to_json(message));
  EXPECT_EQ(once, parse_json(json, "test"));
  for (const Message& message : messages_from_json(once)) twice.push_back(message_to_json(message));
  EXPECT_EQ(once, twice);
}

TEST(Message, RefusesAndNamesThePlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "messages"},
      {"null", "messages"},
      {"[]", "messages, give at least one"},
      {"[1]", "messages[0]"},
      {R"([{"content":"a"}])", "messages[0].role"},
      {R"([{"role":"","content":"a"}])", "messages[0].role"},
      {R"([{"role":"us er","content":"a"}])", "messages[0].role"},
      {R"([{"role":"user\n<turn|>","content":"a"}])", "messages[0].role"},
      {R"([{"role":7,"content":"a"}])", "messages[0].role"},
      {R"([{"role":"user","content":"a"},{"role":"user","content":7}])", "messages[1].content"},
      {R"([{"role":"user","content":{"a":1}}])", "messages[0].content"},
      {R"([{"role":"user","content":["a"]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text","text":1}]}])", "messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"type":"image_url"}]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":5}]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"file","file":{}}]}])", "messages[0].content[0].type"},
      {R"([{"role":"user","content":"a","tool_calls":[]}])", "messages[0].tool_calls"},
      {R"([{"role":"assistant","tool_calls":{}}])", "messages[0].tool_calls"},
      {R"([{"role":"assistant","tool_calls":[{}]}])", "messages[0].tool_calls[0]"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"a b"}}]}])", "messages[0].tool_calls[0].function.name"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"a","arguments":7}}]}])", "messages[0].tool_calls[0].function.arguments"},
      {R"([{"role":"assistant","tool_calls":[{"id":7,"function":{"name":"a"}}]}])", "messages[0].tool_calls[0].id"},
      {R"([{"role":"assistant","tool_responses":[{"name":"a"}]}])", "messages[0].tool_responses[0]"},
      {R"([{"role":"assistant","function_call":{"name":"a"}}])", "messages[0].function_call"},
      {R"([{"role":"assistant","reasoning":"a","reasoning_content":"b"}])", "messages[0]"},
      {R"([{"role":"assistant","reasoning":7}])", "messages[0].reasoning"},
      {R"([{"role":"tool","content":"a","name":"a{b"}])", "messages[0].name"}};
  for (const auto& [json, place] : cases) EXPECT_NE(refusal(json).find(std::string(", ") + place), std::string::npos) << json << ": " << refusal(json);
}

TEST(Message, IsBounded) {
  Json many = Json::array();
  for (size_t i = 0; i <= kMaxMessages; ++i) many.push_back({{"role", "user"}, {"content", ""}});
  EXPECT_NE(refusal(many.dump()).find("10001"), std::string::npos);
  Json parts = Json::array();
  for (size_t i = 0; i <= kMaxParts; ++i) parts.push_back({{"type", "image"}});
  refusal(Json::array({{{"role", "user"}, {"content", parts}}}).dump());
  refusal(Json::array({{{"role", std::string(65, 'a')}, {"content", ""}}}).dump());
  EXPECT_THROW(messages_from_json(Json::array({{{"role", "user"}, {"content", "\xff"}}})), Error);
  EXPECT_THROW(messages_from_json(Json::array({{{"role", "tool"}, {"content", {{"a", {"\xff"}}}}}})), Error);
}

TEST(Tools, ReadsBothForms) {
  EXPECT_TRUE(tools_from_json(nullptr).is_null());
  EXPECT_TRUE(tools_from_json(Json::array()).is_null());
  const Json tools = tools_from_json(parse_json(
      R"([{"type":"function","function":{"name":"a","description":null,"parameters":{"type":"object"},"strict":true}},{"name":"b","description":"d"},{"type":"function","name":"c","parameters":null}])",
      "test"));
  EXPECT_EQ(
      tools.dump(),
      R"([{"type":"function","function":{"name":"a","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"b","description":"d"}},{"type":"function","function":{"name":"c"}}])");
}

TEST(Tools, RefusesAndNamesThePlace) {
  const std::pair<const char*, const char*> cases[] = {{"{}", "tools"},
                                                       {"[1]", "tools[0]"},
                                                       {R"([{"type":"custom","custom":{}}])", "tools[0].type"},
                                                       {R"([{"type":"function"}])", "tools[0]"},
                                                       {R"([{"type":"function","function":7}])", "tools[0].function"},
                                                       {R"([{"type":"function","function":{}}])", "tools[0].function.name"},
                                                       {R"([{"name":""}])", "tools[0].name"},
                                                       {R"([{"name":"a<b"}])", "tools[0].name"},
                                                       {R"([{"name":"a"},{"name":"a"}])", "tools[1].name"},
                                                       {R"([{"name":"a","description":7}])", "tools[0].description"},
                                                       {R"([{"name":"a","parameters":[]}])", "tools[0].parameters"},
                                                       {R"([{"name":"a","response":"x"}])", "tools[0].response"}};
  for (const auto& [json, place] : cases)
    EXPECT_NE(refusal(json, true).find(std::string(", ") + place), std::string::npos) << json << ": " << refusal(json, true);
}

}  // namespace
}  // namespace carat
