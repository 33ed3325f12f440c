#pragma once
// The tools of `--tools FILE`: an OpenAI tool list in which a tool may name the program that does its work.
//   {"type":"function","function":{"name":"weather","description":"…","parameters":{…}},"x-command":["python3","weather.py"],"x-timeout":20}
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace carat::cli {

struct ToolCommand {
  std::vector<std::string> argv;  // not empty
  int timeout_seconds = 60;
};

class ToolBox {
 public:
  static constexpr int kLongestTimeout = 3600;  // seconds

  // `where` names the source in messages. "x-command": a list of words, or a text that is cut into words at blanks ('…', "…" and backslashes as in a shell, nothing
  // else). Fails with invalid_argument, and the place, as tools_from_json() does; and with corrupt for what is no JSON.
  static ToolBox parse(std::string_view text, std::string_view where);
  // Fails with not_found, io, exhausted too.
  static ToolBox load(const std::filesystem::path& file);

  // What the model is told: the list without the commands, as ConversationOptions::tools takes it.
  const Json& declarations() const { return declarations_; }
  // null: the tool has none, or there is no such tool.
  const ToolCommand* command(std::string_view name) const;
  bool empty() const { return declarations_.empty(); }

 private:
  Json declarations_ = Json::array();
  std::map<std::string, ToolCommand, std::less<>> commands_;
};

// The words of a command's text. Fails with invalid_argument when a quote is not closed or there is none.
std::vector<std::string> command_words(std::string_view text, std::string_view where);

}  // namespace carat::cli
