#include <gtest/gtest.h>

#include "base/error.h"
#include "chat/chat_cases.h"

namespace carat::test {
namespace {

struct Named {
  const char* name;
  Gemma4Revision revision;
  bool large;
};

class GoldenFormat : public testing::TestWithParam<Named> {};

TEST_P(GoldenFormat, PrintsWhatTheTemplatePrints) {
  const auto format = gemma4_format(GetParam().revision, GetParam().large);
  const auto cases = chat_cases(GetParam().name);
  ASSERT_GE(cases.size(), 50u);
  for (const ChatCase& c : cases) EXPECT_EQ(format->render(c.messages, c.tools, c.options).text(), c.rendered) << c.name;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenFormat,
                         testing::Values(Named{"canonical-large", Gemma4Revision::canonical, true}, Named{"canonical-small", Gemma4Revision::canonical, false},
                                         Named{"spring", Gemma4Revision::spring, true}, Named{"interleaved", Gemma4Revision::interleaved, true}),
                         [](const auto& param) {
                           std::string name = param.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

// No published case shows the launch revision: its peculiarities, one by one.
TEST(Gemma4Format, Launch) {
  const auto small = gemma4_format(Gemma4Revision::launch, false), large = gemma4_format(Gemma4Revision::launch, true);
  const RenderOptions thinking{.add_generation_prompt = true, .enable_thinking = true, .preserve_thinking = false};
  EXPECT_EQ(text_of(*small, R"([{"role":"system","content":" S "},{"role":"user","content":"Hi"}])", thinking),
            "<bos><|turn>system\n<|think|>S<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n");
  EXPECT_EQ(
      text_of(*small,
              R"([{"role":"user","content":[{"type":"text","text":"a "},{"type":"image"},{"type":"audio"},{"type":"video"},{"type":"text","text":"b"}]}])"),
      "<bos><|turn>user\na\n\n<|image|>\n\n<|audio|>\n\n<|video|>\n\nb<turn|>\n<|turn>model\n");
  EXPECT_EQ(text_of(*small,
                    R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":"c"},{"role":"tool","content":" d "}])"),
            "<bos><|turn>user\na<turn|>\n<|turn>model\nb<turn|>\n<|turn>model\nc<turn|>\n<|turn>tool\nd<turn|>\n<|turn>model\n");
  const char* call =
      R"([{"role":"user","content":"a"},{"role":"assistant","content":"","reasoning":"never","tool_calls":[{"function":{"name":"f","arguments":{"x":null}}}],
    "tool_responses":[{"response":{"t":1}}]}])";
  const std::string result =
      "<bos><|turn>user\na<turn|>\n<|turn>model\n<|tool_call>call:f{x:None}<tool_call|><|tool_response>response:unknown{t:1}<tool_response|>";
  EXPECT_EQ(text_of(*small, call), result);
  EXPECT_EQ(text_of(*large, call), result + "<|channel>thought\n<channel|>");
  EXPECT_EQ(text_of(*large, call, thinking).find("<|channel>"), std::string::npos);
}

TEST(Gemma4Format, OldDeclarationsKeepTheirCommas) {
  const Json tools = tools_from_json(parse_json(
      R"([{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}},"o":{"type":"object","nullable":true}}}}])",
      "t"));
  const auto declaration = [&](Gemma4Revision revision) {
    const std::string text = text_of(*gemma4_format(revision, false), R"([{"role":"user","content":"a"}])", {}, tools);
    const size_t begin = text.find("properties:"), end = text.find("},type:<|\"|>OBJECT<|\"|>}}<tool|>");
    return text.substr(begin, end - begin);
  };
  EXPECT_EQ(declaration(Gemma4Revision::launch),
            "properties:{a:{,items:{type:<|\"|>STRING<|\"|>}type:<|\"|>ARRAY<|\"|>},o:{nullable:true,properties:{},type:<|\"|>OBJECT<|\"|>}");
  EXPECT_EQ(declaration(Gemma4Revision::canonical),
            "properties:{a:{items:{type:<|\"|>STRING<|\"|>},type:<|\"|>ARRAY<|\"|>},o:{nullable:true,properties:{},type:<|\"|>OBJECT<|\"|>}");
}

TEST(Gemma4Format, ValuesAreSortedAndPrintedAsPythonDoes) {
  const auto format = gemma4_format(Gemma4Revision::canonical, false);
  const std::string text = text_of(*format, R"([{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":
    {"b":15000000000.0,"A":-7,"a":1e-7,"Ä":3.14,"ä":"q\"","Z":[true,null,{"y":1,"X":{}}]}}}]}])");
  EXPECT_NE(text.find("call:f{A:-7,a:1e-07,b:15000000000.0,Z:[true,null,{X:{},y:1}],Ä:3.14,ä:<|\"|>q\"<|\"|>}<tool_call|>"), std::string::npos) << text;
}

TEST(Gemma4Format, ATypeThatIsAListIsPrintedAsPythonPrintsIt) {
  const Json tools = tools_from_json(parse_json(R"([{"name":"f","parameters":{"type":"object","properties":{"a":{"type":["string","null"]}}}}])", "t"));
  const std::string text = text_of(*gemma4_format(Gemma4Revision::canonical, false), R"([{"role":"user","content":"a"}])", {}, tools);
  EXPECT_NE(text.find("a:{type:<|\"|>['STRING', 'NULL']<|\"|>}"), std::string::npos) << text;
}

TEST(Gemma4Format, CanonicalShowsMediaOfToolsAndSystemParts) {
  const auto format = gemma4_format(Gemma4Revision::canonical, false);
  EXPECT_EQ(text_of(*format, R"([{"role":"system","content":[{"type":"text","text":" a "},{"type":"text","text":"b"}]},{"role":"user","content":"x"},
    {"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":{}}}]},
    {"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"see "},{"type":"image_url","image_url":{"url":"u"}},{"type":"audio"}]}])"),
            "<bos><|turn>system\na b <turn|>\n<|turn>user\nx<turn|>\n<|turn>model\n<|tool_call>call:f{}<tool_call|>"
            "<|tool_response>response:f{value:<|\"|>see <|\"|>}<tool_response|><|image|><|audio|>");
}

TEST(Gemma4Format, RefusesWhatItCannotSay) {
  const auto canonical = gemma4_format(Gemma4Revision::canonical, true), spring = gemma4_format(Gemma4Revision::spring, true);
  EXPECT_THROW(canonical->render({}, nullptr, {}), Error);
  EXPECT_THROW(text_of(*canonical, R"([{"role":"system","content":[{"type":"image"}]},{"role":"user","content":"x"}])"), Error);
  EXPECT_THROW(text_of(*canonical, R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"no json"}}]}])"), Error);
  EXPECT_THROW(
      text_of(*spring,
              R"([{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"1","content":[{"type":"image"}]}])"),
      Error);
  for (const char* parameters :
       {R"({"properties":7})", R"({"properties":{"a":{"type":"é"}}})", R"({"required":"a"})", R"({"properties":{"a":{"type":"array","items":{"type":7}}}})",
        R"({"properties":{"a":{"type":"array","items":{"required":7}}}})", R"({"properties":{"a":{"type":"object","required":7}}})"}) {
    const Json tools = tools_from_json(Json::array({{{"name", "f"}, {"parameters", parse_json(parameters, "t")}}}));
    EXPECT_THROW(canonical->render(user("x"), tools, {}), Error) << parameters;
  }
}

TEST(Gemma4Format, MediaKeepTheirSourcesAndBordersTheirPlaces) {
  const auto format = gemma4_format(Gemma4Revision::canonical, true);
  const Prompt prompt = format->render(
      messages(
          R"([{"role":"system","content":"s"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"u1"}},{"type":"input_audio","input_audio":{"data":"d"}}]},
    {"role":"assistant","content":"a"},{"role":"user","content":"b"}])"),
      nullptr, {});
  std::string media, before_borders;
  for (size_t i = 0; i < prompt.pieces.size(); ++i) {
    const PromptPiece& piece = prompt.pieces[i];
    if (piece.kind == PromptPiece::Kind::media) media += piece.source.dump();
    if (piece.kind == PromptPiece::Kind::border) before_borders += prompt.pieces[i - 1].text + prompt.pieces[i + 1].text + prompt.pieces[i + 2].text + ";";
  }
  EXPECT_EQ(media, R"({"type":"image_url","image_url":{"url":"u1"}}{"type":"input_audio","input_audio":{"data":"d"}})");
  EXPECT_EQ(before_borders, "\n<|turn>user\n;\n<|turn>model\na;\n<|turn>model\n;");
}

}  // namespace
}  // namespace carat::test
