#include "cli/tool_box.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "chat/message.h"
#include "cli/console.h"

namespace carat::cli {
namespace {

constexpr size_t kMaxFileBytes = size_t{4} << 20;
constexpr size_t kMaxWords = 1000;
constexpr std::string_view kCommand = "x-command", kTimeout = "x-timeout";

[[noreturn]] void refuse(std::string_view what, const std::string& where, std::string_view to_do) {
  fail(ErrorCode::invalid_argument, "{}, {}, {}", what, where, to_do);
}

// Takes a member out of the tool, or of its function.
Json take(Json& tool, std::string_view member) {
  Json value;
  for (Json* place : {&tool, tool.contains("function") && tool["function"].is_object() ? &tool["function"] : nullptr}) {
    if (place == nullptr || !place->contains(member)) continue;
    value = std::move((*place)[std::string(member)]);
    place->erase(std::string(member));
  }
  return value;
}

std::vector<std::string> words_of(const Json& value, const std::string& where) {
  if (value.is_string()) return command_words(value.get_ref<const std::string&>(), where);
  if (!value.is_array() || value.empty() || value.size() > kMaxWords)
    refuse("a command is a text or a list of words", where, "write it as [\"program\", \"argument\"]");
  std::vector<std::string> words;
  for (const Json& word : value) {
    if (!word.is_string() || word.get_ref<const std::string&>().find('\0') != std::string::npos)
      refuse("a command's words are texts", where, "put each in quotes");
    words.push_back(word.get<std::string>());
  }
  if (words.front().empty()) refuse("the command names no program", where, "put the program's name first");
  return words;
}

}  // namespace

std::vector<std::string> command_words(std::string_view text, std::string_view where) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (quote == 0 && blank) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\0') refuse("a command cannot hold a zero byte", std::string(where), "take it out");
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      words.back() += text[++i];
    } else {
      words.back() += c;
    }
    if (words.size() > kMaxWords) refuse("a command has too many words", std::string(where), "put them into a program of their own");
  }
  if (quote != 0) refuse("a quote in the command is not closed", std::string(where), "close it");
  if (words.empty() || words.front().empty()) refuse("the command names no program", std::string(where), "put the program's name first");
  return words;
}

ToolBox ToolBox::parse(std::string_view text, std::string_view where) {
  ToolBox box;
  Json list = parse_json(text, where, {.max_bytes = kMaxFileBytes, .max_depth = 64});
  struct Named {
    Json command, timeout;
  };
  std::vector<Named> extras;
  if (list.is_array()) {
    for (Json& tool : list) {
      extras.emplace_back();
      if (!tool.is_object()) continue;
      extras.back() = {take(tool, kCommand), take(tool, kTimeout)};
    }
  }
  box.declarations_ = tools_from_json(list, where);
  if (!box.declarations_.is_array()) box.declarations_ = Json::array();
  for (size_t i = 0; i < box.declarations_.size() && i < extras.size(); ++i) {
    const auto& [command, timeout] = extras[i];
    if (command.is_null()) continue;
    const std::string place = fmt::format("{}[{}]", where, i);
    ToolCommand parsed{.argv = words_of(command, fmt::format("{}.{}", place, kCommand))};
    if (!timeout.is_null()) {
      const bool whole = timeout.is_number_integer() || timeout.is_number_unsigned();
      if (!whole || timeout < 1 || timeout > kLongestTimeout) {
        refuse("a tool's time is a whole number of seconds", fmt::format("{}.{}", place, kTimeout), fmt::format("from 1 to {}", kLongestTimeout));
      }
      parsed.timeout_seconds = timeout.get<int>();
    }
    box.commands_.emplace(box.declarations_[i].at("function").at("name").get<std::string>(), std::move(parsed));
  }
  return box;
}

ToolBox ToolBox::load(const std::filesystem::path& file) { return parse(read_text_file(file, kMaxFileBytes), terminal_safe(file.string())); }

const ToolCommand* ToolBox::command(std::string_view name) const {
  const auto found = commands_.find(name);
  return found == commands_.end() ? nullptr : &found->second;
}

}  // namespace carat::cli
