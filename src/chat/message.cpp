#include "chat/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace carat {
namespace {

constexpr size_t kMaxName = 256;  // bytes of a role, a tool's name, an id

[[noreturn]] void bad(const std::string& where, std::string_view what, std::string_view advice) {
  fail(ErrorCode::invalid_argument, "{}, {}, {}", what, where, advice);
}

// A member, or null where it is missing or null: clients write both.
const Json* member(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

// Json that a program has built may hold anything; what was parsed is UTF-8.
void check_utf8(const Json& json, const std::string& where) {
  const auto check_one = [&](const std::string& text) {
    if (!utf8_valid(text)) bad(where, "the text is not UTF-8", "send UTF-8");
  };
  if (json.is_string()) check_one(json.get_ref<const std::string&>());
  if (!json.is_structured()) return;
  for (const auto& [key, value] : json.items()) {
    check_one(key);
    check_utf8(value, where);
  }
}

std::string text_of(const Json& json, const std::string& where) {
  if (!json.is_string()) bad(where, fmt::format("this is no string but {}", json.type_name()), "write \"...\"");
  check_utf8(json, where);
  return json.get<std::string>();
}

std::string optional_text(const Json& object, const char* key, const std::string& where) {
  const Json* value = member(object, key);
  return value == nullptr ? std::string() : text_of(*value, fmt::format("{}.{}", where, key));
}

std::string short_text(const Json& object, const char* key, const std::string& where) {
  std::string text = optional_text(object, key, where);
  if (text.size() > kMaxName) bad(fmt::format("{}.{}", where, key), fmt::format("{} bytes are too long", text.size()), fmt::format("at most {}", kMaxName));
  return text;
}

std::string role_of(const Json& message, const std::string& where) {
  const std::string at = where + ".role";
  if (member(message, "role") == nullptr) bad(at, "the message has no role", "give system, developer, user, assistant or tool");
  std::string role = text_of(message["role"], at);
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (role.empty() || role.size() > 64 || !std::all_of(role.begin(), role.end(), allowed)) {
    bad(at, "this is no role", "give system, developer, user, assistant, tool, or a name of letters, digits, _ and - (at most 64)");
  }
  return role;
}

// Names stand unquoted before a brace in the format, and inside control tokens in many a template.
std::string tool_name(const Json& function, const std::string& where) {
  const std::string at = where + ".name";
  if (member(function, "name") == nullptr) bad(at, "the function has no name", "give one");
  std::string name = text_of(function["name"], at);
  if (name.empty() || name.size() > kMaxName) bad(at, fmt::format("a name of {} bytes cannot be called", name.size()), fmt::format("give 1 to {}", kMaxName));
  if (!can_be_called(name)) bad(at, "the name cannot be called", "leave out {, }, < and white space");
  return name;
}

ContentPart part_from(const Json& part, const std::string& where) {
  if (!part.is_object() || member(part, "type") == nullptr) bad(where, "this is no part of a message", "write {\"type\": \"text\", \"text\": \"...\"}");
  const std::string type = text_of(part["type"], where + ".type");
  ContentPart out;
  if (type == "text" || type == "refusal") {
    if (member(part, type.c_str()) == nullptr) bad(where, fmt::format("the part has no {}", type), "give it");
    out.text = text_of(part[type], fmt::format("{}.{}", where, type));
    return out;
  }
  constexpr std::pair<std::string_view, ContentPart::Kind> kinds[] = {{"image", ContentPart::Kind::image},     {"image_url", ContentPart::Kind::image},
                                                                      {"audio", ContentPart::Kind::audio},     {"input_audio", ContentPart::Kind::audio},
                                                                      {"audio_url", ContentPart::Kind::audio}, {"video", ContentPart::Kind::video},
                                                                      {"video_url", ContentPart::Kind::video}, {"input_video", ContentPart::Kind::video}};
  const auto* const kind = std::find_if(std::begin(kinds), std::end(kinds), [&](const auto& entry) { return entry.first == type; });
  if (kind == std::end(kinds)) {
    bad(where + ".type", "parts of this type are not known", "known are text, image_url, input_audio, audio_url, video_url, input_video, image, audio, video");
  }
  if (type.find('_') != std::string::npos && (member(part, type.c_str()) == nullptr || !(part[type].is_object() || part[type].is_string()))) {
    bad(where, fmt::format("the part has no {}", type), "give an object that says where the data is");
  }
  check_utf8(part, where);
  out.kind = kind->second;
  out.media = part;
  return out;
}

bool is_part_list(const Json& list) {
  return std::all_of(list.begin(), list.end(), [](const Json& item) { return item.is_object() && item.contains("type") && item["type"].is_string(); });
}

Content content_from(const Json& message, std::string_view role, const std::string& where) {
  Content content;
  const Json* value = member(message, "content");
  if (value == nullptr) return content;
  if (value->is_string()) {
    content.kind = Content::Kind::text;
    content.text = text_of(*value, where);
  } else if (value->is_array() && (role != "tool" || is_part_list(*value))) {
    if (value->size() > kMaxParts) bad(where, fmt::format("{} parts are too many", value->size()), fmt::format("at most {}", kMaxParts));
    content.kind = Content::Kind::parts;
    for (size_t i = 0; i < value->size(); ++i) content.parts.push_back(part_from((*value)[i], fmt::format("{}[{}]", where, i)));
  } else if (role == "tool") {
    check_utf8(*value, where);
    content.kind = Content::Kind::value;
    content.value = *value;
  } else {
    bad(where, fmt::format("the content is {}", value->type_name()), "give a string or a list of parts");
  }
  return content;
}

Json arguments_from(const Json* value, const std::string& where) {
  if (value == nullptr) return Json::object();
  check_utf8(*value, where);
  if (value->is_object()) return *value;
  if (!value->is_string()) bad(where, fmt::format("the arguments are {}", value->type_name()), "give an object, or a string that holds one as JSON");
  const std::string& text = value->get_ref<const std::string&>();
  if (text.empty()) return Json::object();
  try {
    Json parsed = parse_json(text, where, {.max_depth = 64});
    if (parsed.is_object()) return parsed;
  } catch (const Error&) {  // something that a model has written and that is no JSON: kept as it is
  }
  return *value;
}

void check_list(const Json& list, const std::string& where) {
  if (!list.is_array()) bad(where, fmt::format("this is no list but {}", list.type_name()), "write [...]");
  if (list.size() > kMaxParts) bad(where, fmt::format("{} entries are too many", list.size()), fmt::format("at most {}", kMaxParts));
}

std::vector<ToolCall> calls_from(const Json& list, const std::string& where) {
  check_list(list, where);
  std::vector<ToolCall> calls;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", where, i);
    const Json& call = list[i];
    if (!call.is_object() || member(call, "function") == nullptr || !call["function"].is_object()) {
      bad(at, "this is no call of a function", "write {\"id\": \"...\", \"type\": \"function\", \"function\": {\"name\": \"...\", \"arguments\": \"{...}\"}}");
    }
    const Json& function = call["function"];
    calls.push_back({.id = short_text(call, "id", at),
                     .name = tool_name(function, at + ".function"),
                     .arguments = arguments_from(member(function, "arguments"), at + ".function.arguments")});
  }
  return calls;
}

std::vector<ToolResponse> responses_from(const Json& list, const std::string& where) {
  check_list(list, where);
  std::vector<ToolResponse> responses;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", where, i);
    if (!list[i].is_object() || !list[i].contains("response")) bad(at, "this is no result of a function", "write {\"name\": \"...\", \"response\": ...}");
    check_utf8(list[i], at);
    responses.push_back({.name = member(list[i], "name") == nullptr ? std::string() : tool_name(list[i], at), .response = list[i]["response"]});
  }
  return responses;
}

Message message_from(const Json& json, const std::string& where) {
  if (!json.is_object()) bad(where, fmt::format("the message is no object but {}", json.type_name()), "write {\"role\": \"user\", \"content\": \"...\"}");
  Message message;
  message.role = role_of(json, where);
  message.content = content_from(json, message.role, where + ".content");
  message.reasoning = optional_text(json, "reasoning", where);
  const std::string older = optional_text(json, "reasoning_content", where);
  message.reasoning_as_content = !older.empty() || message.reasoning.empty();
  if (message.reasoning.empty()) {
    message.reasoning = older;
  } else if (!older.empty() && older != message.reasoning) {
    bad(where, "reasoning and reasoning_content differ", "give one of them");
  }
  message.tool_call_id = short_text(json, "tool_call_id", where);
  message.name = short_text(json, "name", where);
  if (message.role == "tool" && !message.name.empty()) message.name = tool_name(json, where);
  const bool speaks = message.role == "assistant" || message.role == "model";
  for (const char* key : {"tool_calls", "tool_responses", "function_call"}) {
    if (member(json, key) == nullptr) continue;
    if (!speaks) bad(fmt::format("{}.{}", where, key), fmt::format("a message of the role {} cannot have this", message.role), "it belongs to an assistant's");
    if (std::string_view(key) == "function_call") bad(where + ".function_call", "this is no longer in use", "write tool_calls");
  }
  if (const Json* calls = member(json, "tool_calls")) message.tool_calls = calls_from(*calls, where + ".tool_calls");
  if (const Json* responses = member(json, "tool_responses")) message.tool_responses = responses_from(*responses, where + ".tool_responses");
  return message;
}

Json content_to_json(const Content& content) {
  switch (content.kind) {
    case Content::Kind::none: return nullptr;
    case Content::Kind::text: return content.text;
    case Content::Kind::value: return content.value;
    case Content::Kind::parts: break;
  }
  Json parts = Json::array();
  for (const ContentPart& part : content.parts)
    parts.push_back(part.kind == ContentPart::Kind::text ? Json{{"type", "text"}, {"text", part.text}} : part.media);
  return parts;
}

}  // namespace

bool Content::empty() const {
  switch (kind) {
    case Kind::none: return true;
    case Kind::text: return text.empty();
    case Kind::parts: return parts.empty();
    case Kind::value: break;
  }
  if (value.is_number()) return value.get<double>() == 0;
  if (value.is_boolean()) return !value.get<bool>();
  return value.is_string() ? value.get_ref<const std::string&>().empty() : value.empty();
}

bool can_be_called(std::string_view name) {
  const auto bad_byte = [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '{' || c == '}' || c == '<'; };
  return !name.empty() && name.size() <= kMaxName && std::none_of(name.begin(), name.end(), bad_byte);
}

std::vector<Message> messages_from_json(const Json& messages, std::string_view where) {
  const std::string at(where);
  if (!messages.is_array())
    bad(at, fmt::format("this is no list of messages but {}", messages.type_name()), "write [{\"role\": \"user\", \"content\": \"...\"}]");
  if (messages.empty()) bad(at, "there are no messages", "give at least one");
  if (messages.size() > kMaxMessages) bad(at, fmt::format("{} messages are too many", messages.size()), fmt::format("at most {}", kMaxMessages));
  std::vector<Message> out;
  out.reserve(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) out.push_back(message_from(messages[i], fmt::format("{}[{}]", where, i)));
  return out;
}

Json message_to_json(const Message& message) {
  Json json{{"role", message.role}, {"content", content_to_json(message.content)}};
  if (!message.reasoning.empty()) json[message.reasoning_as_content ? "reasoning_content" : "reasoning"] = message.reasoning;
  for (const ToolCall& call : message.tool_calls) {
    Json entry = Json::object();
    if (!call.id.empty()) entry["id"] = call.id;
    entry["type"] = "function";
    const Json arguments = call.arguments.is_string() ? call.arguments : Json(call.arguments.dump(-1, ' ', false, Json::error_handler_t::replace));
    entry["function"] = {{"name", call.name}, {"arguments", arguments}};
    json["tool_calls"].push_back(std::move(entry));
  }
  for (const ToolResponse& response : message.tool_responses) {
    Json entry = Json::object();
    if (!response.name.empty()) entry["name"] = response.name;
    entry["response"] = response.response;
    json["tool_responses"].push_back(std::move(entry));
  }
  if (!message.tool_call_id.empty()) json["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) json["name"] = message.name;
  return json;
}

Json tools_from_json(const Json& tools, std::string_view where) {
  const std::string at(where);
  if (tools.is_null()) return nullptr;
  if (!tools.is_array()) bad(at, fmt::format("this is no list of tools but {}", tools.type_name()), "write [{\"type\": \"function\", \"function\": {...}}]");
  if (tools.empty()) return nullptr;
  if (tools.size() > kMaxTools) bad(at, fmt::format("{} tools are too many", tools.size()), fmt::format("at most {}", kMaxTools));
  Json out = Json::array();
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < tools.size(); ++i) {
    const Json& tool = tools[i];
    std::string place = fmt::format("{}[{}]", where, i);
    if (!tool.is_object()) bad(place, "this is no tool", "write {\"type\": \"function\", \"function\": {...}}");
    const Json* type = member(tool, "type");
    const Json* inner = member(tool, "function");
    if (type != nullptr && *type != "function") fail(ErrorCode::unsupported, "tools of this type are not known, {}.type, give function", place);
    if (type != nullptr && inner == nullptr && member(tool, "name") == nullptr) bad(place, "the tool has no function", "give {\"name\": \"...\"} there");
    if (inner != nullptr) place += ".function";
    if (inner != nullptr && !inner->is_object()) bad(place, "the function is no object", "write {\"name\": \"...\"}");
    Json function = inner != nullptr ? *inner : tool;
    if (inner == nullptr) function.erase("type");
    if (!names.insert(tool_name(function, place)).second) bad(place + ".name", "the name is given twice", "call each tool differently");
    check_utf8(function, place);
    optional_text(function, "description", place);
    for (const char* key : {"parameters", "response"}) {
      if (const Json* value = member(function, key); value != nullptr && !value->is_object()) {
        bad(fmt::format("{}.{}", place, key), fmt::format("this is no object but {}", value->type_name()), "give a JSON Schema");
      }
    }
    for (const char* key : {"description", "parameters", "response"}) {  // null says what a missing one says
      if (member(function, key) == nullptr) function.erase(key);
    }
    out.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

}  // namespace carat
