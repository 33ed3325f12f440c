#include "text/folder_template.h"

#include "base/error.h"
#include "base/json.h"

namespace carat {
namespace {

std::string template_member(const Json& value, const std::string& what) {
  if (value.is_null()) return {};
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    for (const Json& named : value) {
      if (!named.is_object() || named.value("name", Json()) != "default") continue;
      const Json text = named.value("template", Json());
      if (text.is_string()) return text.get<std::string>();
    }
    return {};
  }
  fail(ErrorCode::corrupt, "{}: chat_template is neither a text nor a list of named texts", what);
}

}  // namespace

std::string folder_template(const std::function<std::optional<std::string>(std::string_view)>& read, const std::string& folder) {
  if (auto text = read("chat_template.jinja")) return std::move(*text);
  for (const std::string_view name : {"chat_template.json", "tokenizer_config.json"}) {
    const auto text = read(name);
    // tokenizer_config.json also lists thousands of tokens: it is taken apart only where it holds a template.
    if (!text || text->find("\"chat_template\"") == std::string::npos) continue;
    const std::string what = folder + "/" + std::string(name);
    const Json config = parse_json(*text, what);
    if (!config.is_object() || !config.contains("chat_template")) continue;
    if (std::string found = template_member(config["chat_template"], what); !found.empty()) return found;
  }
  return {};
}

}  // namespace carat
