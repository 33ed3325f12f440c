#include "chat/template_probes.h"

#include <string_view>

namespace carat {
namespace {

// name, thinking (0 not said, 1 on, 2 off), prompt for the answer, keep thoughts, tools, messages.
struct Text {
  const char* name;
  int thinking;
  bool prompt, preserve;
  const char* tools;
  const char* messages;
};

constexpr const char* kTools = R"([{"type":"function","function":{"name":"book","description":"Book it.","parameters":{"type":"object","properties":{
 "who":{"type":"object","description":"Who","properties":{"name":{"type":"string","description":"Name"},"Age":{"type":"integer","nullable":true}},"required":["name"]},
 "legs":{"type":"array","description":"Legs","items":{"type":"object","properties":{"from":{"type":"string"},"seats":{"type":"array","items":{"type":"integer"}}},"required":["from"]}},
 "kinds":{"type":"array","items":{"type":["string","integer"],"enum":["a",{"k":1}]}},"unit":{"type":"string","enum":["c","f"]},"note":{"type":"string","nullable":true,"description":"N"},
 "free":{"type":"object","title":"T"},"type":{"type":"string"},"price":{"type":"number","minimum":1}},"required":["who","legs"]},
 "response":{"type":"object","description":"The booking"}}},{"type":"function","function":{"name":"now","description":"Time."}}])";

constexpr const char* kCall =
    R"({"role":"assistant","content":"","reasoning":"r1","reasoning_content":"r1","tool_calls":[{"id":"1","type":"function","function":{"name":"book",
 "arguments":{"b":true,"A":null,"n":[1,-2.5,1e-7,15000000000.0],"o":{"y":"x","Z":"q"}}}}]})";

constexpr Text kGemma4[] = {
    {"one question", 0, true, false, nullptr, R"([{"role":"user","content":" Hi\u00a0"}])"},
    {"thinking", 1, true, false, nullptr, R"([{"role":"system","content":" Be nice. "},{"role":"user","content":"Hi"}])"},
    {"no thinking", 2, true, false, nullptr, R"([{"role":"developer","content":"Be nice."},{"role":"user","content":"Hi"}])"},
    {"no prompt for an answer", 0, false, false, nullptr, R"([{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}])"},
    {"only a system message", 0, true, false, nullptr, R"([{"role":"system","content":"S"}])"},
    {"several turns", 0, true, false, nullptr,
     R"([{"role":"user","content":"a"},{"role":"assistant","content":"<|channel>thought\nt\n<channel|>b <|channel>c<channel|>d"},{"role":"system","content":"s"},{"role":"user","content":"e"}])"},
    {"media", 0, true, false, nullptr,
     R"([{"role":"user","content":[{"type":"image"},{"type":"text","text":" a "},{"type":"audio"},{"type":"video"},{"type":"text","text":" b"}]}])"},
    {"two answers", 0, true, false, nullptr,
     R"([{"role":"user","content":"x"},{"role":"assistant","content":"first"},{"role":"assistant","content":"second"},{"role":"user","content":"y"}])"},
    {"tools", 0, true, false, kTools, R"([{"role":"user","content":"go"}])"},
    {"tools, thinking", 1, true, false, kTools, R"([{"role":"system","content":"S"},{"role":"user","content":"go"}])"},
    {"a call", 0, true, false, nullptr, R"([{"role":"user","content":"go"},CALL])"},
    {"a call, thinking", 1, true, false, nullptr, R"([{"role":"user","content":"go"},CALL])"},
    {"a result", 0, true, false, nullptr, R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"1","content":"{\"t\": 1}"}])"},
    {"a result, thinking", 1, true, false, nullptr, R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"1","content":"ok"}])"},
    {"results", 0, true, false, nullptr,
     R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"2","name":"n","content":[{"type":"text","text":"a "},{"type":"text","text":"b"}]},{"role":"tool","tool_call_id":"1","content":4.0}])"},
    {"a result and an answer", 0, true, false, nullptr,
     R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"1","content":"ok"},{"role":"assistant","content":"done","reasoning":"r2","reasoning_content":"r2"}])"},
    {"a result, an answer, a question", 1, true, false, nullptr,
     R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"1","content":"ok"},{"role":"assistant","content":"done"},{"role":"user","content":"and?"}])"},
    {"thoughts kept", 1, true, true, nullptr,
     R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"1","content":"ok"},{"role":"assistant","content":"done"},{"role":"user","content":"and?"}])"},
    {"calls one after the other", 1, true, false, nullptr,
     R"([{"role":"user","content":"go"},CALL,{"role":"tool","tool_call_id":"1","content":"ok"},CALL,{"role":"tool","tool_call_id":"1","content":"ok"}])"},
    {"results with the call", 0, true, false, nullptr,
     R"([{"role":"user","content":"go"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"now","arguments":{}}}],"tool_responses":[{"name":"now","response":{"t":"noon"}},{"response":7}]}])"},
    {"results with the call, and an answer", 1, true, false, nullptr,
     R"([{"role":"user","content":"go"},{"role":"assistant","content":"done","tool_calls":[{"function":{"name":"now","arguments":{}}}],"tool_responses":[{"name":"now","response":"noon"}]},CALL])"},
    {"arguments that are no object", 0, true, false, nullptr,
     R"([{"role":"user","content":"go"},{"role":"assistant","content":"","tool_calls":[{"id":"1","function":{"name":"now","arguments":"a:1"}}]}])"},
};

constexpr Text kGemma3[] = {
    {"one question", 0, true, false, nullptr, R"([{"role":"user","content":" Hi\u00a0"}])"},
    {"a system message", 0, true, false, nullptr, R"([{"role":"system","content":"Be nice."},{"role":"user","content":"Hi"}])"},
    {"several turns", 0, true, false, nullptr, R"([{"role":"user","content":"a"},{"role":"assistant","content":" b "},{"role":"user","content":"c"}])"},
    {"no prompt for an answer", 0, false, false, nullptr, R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])"},
    {"parts", 0, true, false, nullptr, R"([{"role":"user","content":[{"type":"text","text":" a "},{"type":"text","text":"b"}]}])"},
    {"an answer first", 0, true, false, nullptr, R"([{"role":"assistant","content":"b"}])"},
    {"two questions", 0, true, false, nullptr, R"([{"role":"user","content":"a"},{"role":"user","content":"b"}])"},
};

std::vector<TemplateProbe> made(std::span<const Text> texts) {
  std::vector<TemplateProbe> out;
  for (const Text& text : texts) {
    std::string messages = text.messages;
    for (size_t at; (at = messages.find("CALL")) != std::string::npos;) messages.replace(at, 4, kCall);
    TemplateProbe probe{.name = text.name, .messages = messages_from_json(parse_json(messages, text.name)), .tools = nullptr, .options = {}};
    if (text.tools != nullptr) probe.tools = tools_from_json(parse_json(text.tools, text.name));
    probe.options.add_generation_prompt = text.prompt;
    probe.options.preserve_thinking = text.preserve;
    if (text.thinking != 0) probe.options.enable_thinking = text.thinking == 1;
    out.push_back(std::move(probe));
  }
  return out;
}

}  // namespace

const std::vector<TemplateProbe>& template_probes(bool gemma4) {
  static const std::vector<TemplateProbe> four = made(kGemma4), three = made(kGemma3);
  return gemma4 ? four : three;
}

}  // namespace carat
