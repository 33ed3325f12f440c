#include "chat/jinja_template.h"

#include <fmt/format.h>

#include "base/error.h"
#include "chat/template_process.h"

namespace carat {
namespace {

// In one line, whatever the template put into it.
std::string one_line(std::string text) {
  if (text.size() > 500) text.resize(500);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

Json content_variable(const Content& content) {
  if (content.kind == Content::Kind::text) return content.text;
  if (content.kind == Content::Kind::value) return content.value;
  Json parts = Json::array();
  for (const ContentPart& part : content.parts) {
    switch (part.kind) {
      case ContentPart::Kind::text: parts.push_back({{"type", "text"}, {"text", part.text}}); break;
      case ContentPart::Kind::image: parts.push_back({{"type", "image"}}); break;
      case ContentPart::Kind::audio: parts.push_back({{"type", "audio"}}); break;
      case ContentPart::Kind::video: parts.push_back({{"type", "video"}}); break;
    }
  }
  return parts;
}

// What was not given stays undefined, as it does where the reference hands a client's messages on.
Json message_variable(const Message& message) {
  Json out{{"role", message.role}};
  if (message.content.kind != Content::Kind::none) out["content"] = content_variable(message.content);
  if (!message.reasoning.empty()) {
    out["reasoning"] = message.reasoning;
    if (message.reasoning_as_content) out["reasoning_content"] = message.reasoning;
  }
  for (const ToolCall& call : message.tool_calls) {
    Json entry = Json::object();
    if (!call.id.empty()) entry["id"] = call.id;
    entry["type"] = "function";
    entry["function"] = {{"name", call.name}, {"arguments", call.arguments}};
    out["tool_calls"].push_back(std::move(entry));
  }
  for (const ToolResponse& response : message.tool_responses) {
    Json entry = Json::object();
    if (!response.name.empty()) entry["name"] = response.name;
    entry["response"] = response.response;
    out["tool_responses"].push_back(std::move(entry));
  }
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) out["name"] = message.name;
  return out;
}

}  // namespace

std::vector<TemplateOutput> run_template(std::string_view chat_template, const std::vector<Json>& variables) {
  if (chat_template.size() > kMaxTemplateBytes) {
    fail(ErrorCode::invalid_argument, "the chat template has {} bytes, at most {} are taken, give another with --chat-template", chat_template.size(),
         kMaxTemplateBytes);
  }
  Json request{{"template", chat_template}, {"renders", variables}};
  const std::string text = ask_template_process(request.dump(-1, ' ', false, Json::error_handler_t::replace));
  const Json answer = parse_json(text, "the template engine's answer", {.max_bytes = size_t{1} << 30});
  if (answer.contains("error")) {
    fail(ErrorCode::invalid_argument, "the chat template cannot be read: {}, correct it or take --chat-template builtin",
         one_line(answer["error"].get<std::string>()));
  }
  std::vector<TemplateOutput> out;
  for (const Json& result : answer["results"]) {
    if (result.contains("text")) {
      out.push_back({.text = result["text"].get<std::string>(), .error = ""});
    } else {
      out.push_back({.text = "", .error = one_line(result["error"].get<std::string>())});
    }
  }
  check(out.size() == variables.size(), "a result for each render");
  return out;
}

Json template_variables(std::span<const Message> messages, const Json& tools, const RenderOptions& options) {
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(message_variable(message));
  Json out{{"messages", std::move(list)}, {"tools", tools},       {"documents", nullptr}, {"bos_token", "<bos>"},
           {"eos_token", "<eos>"},        {"pad_token", "<pad>"}, {"unk_token", "<unk>"}, {"add_generation_prompt", options.add_generation_prompt}};
  if (options.enable_thinking) out["enable_thinking"] = *options.enable_thinking;
  if (options.preserve_thinking) out["preserve_thinking"] = true;
  return out;
}

}  // namespace carat
