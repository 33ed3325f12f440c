#pragma once
// Conversations and what templates made of them, by other implementations: the ones in tests/golden/chat, or all where the shared folder is there.
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "chat/chat_format.h"
#include "chat/message.h"
#include "support/golden.h"

namespace carat::test {

struct ChatCase {
  std::string name, rendered;
  std::vector<Message> messages;
  Json tools;
  RenderOptions options;
};

inline RenderOptions render_options(const Json& kwargs) {
  RenderOptions options{.add_generation_prompt = kwargs.value("add_generation_prompt", false), .enable_thinking = {}, .preserve_thinking = false};
  if (kwargs.contains("enable_thinking")) options.enable_thinking = kwargs["enable_thinking"].get<bool>();
  options.preserve_thinking = kwargs.value("preserve_thinking", false);
  return options;
}

// template_name: canonical-large, canonical-small, spring, interleaved.
inline std::vector<ChatCase> chat_cases(const std::string& template_name) {
  std::vector<ChatCase> out;
  const auto add = [&](const Json& c, const Json& tools, const Json& rendered) {
    out.push_back(
        {c["name"].get<std::string>(), rendered.get<std::string>(), messages_from_json(c["messages"]), tools_from_json(tools), render_options(c["kwargs"])});
  };
  if (have_golden()) {
    const std::map<std::string, std::string> files = {{"canonical-large", "gemma-4-canonical-large"},
                                                      {"canonical-small", "gemma-4-canonical-small"},
                                                      {"spring", "google-gemma-4-31B-it"},
                                                      {"interleaved", "google-gemma-4-31B-it-interleaved"}};
    const Json cases = read_json(golden("chat/" + files.at(template_name) + ".json"));
    for (const Json& c : cases["cases"]) add(c, c["tools"], c["rendered"]);
    return out;
  }
  const Json cases = read_json(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/chat/cases.json");
  for (const Json& c : cases["cases"]) {
    if (c["rendered"].contains(template_name)) add(c, c.contains("tools") ? cases["tools"][c["tools"].get<size_t>()] : Json(), c["rendered"][template_name]);
  }
  return out;
}

inline std::vector<Message> messages(const char* json) { return messages_from_json(parse_json(json, "messages")); }
inline std::vector<Message> user(const std::string& text) { return messages_from_json(Json::array({{{"role", "user"}, {"content", text}}})); }

inline std::string text_of(const ChatFormat& format, const char* json, const RenderOptions& options = {}, const Json& tools = nullptr) {
  return format.render(messages(json), tools, options).text();
}

}  // namespace carat::test
