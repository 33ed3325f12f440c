#pragma once
// The commands of the terminal chat: their names, what they take, what Tab offers.
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cli/terminal/completion.h"

namespace carat::cli {

struct SlashCommand {
  enum class Id : uint8_t { help, system, think, save, load, stats, clear, retry, image, audio, video, bye };
  enum class Takes : uint8_t { nothing, words, text, file };
  Id id;
  std::string_view name;  // with its slash
  Takes takes = Takes::nothing;
  std::string_view argument;  // for /help: "FILE", "on|off"
  std::string_view help;
  std::string_view words = {};  // takes words: those that Tab offers, a blank between them
};

std::span<const SlashCommand> slash_commands();

struct SlashLine {
  const SlashCommand* command = nullptr;  // null: there is no command of that name
  std::string name;                       // as typed
  std::string argument;                   // without the blanks around it
};
// Empty: a message like any other. A command is a slash and letters at the very start, up to a blank or the end: "/usr/bin is full" is a message.
std::optional<SlashLine> parse_slash(std::string_view text);

// Names of commands, then what they take.
Completion complete_slash(std::string_view before_cursor);

// What /help prints, for a terminal of that many columns.
std::string slash_help(size_t columns);

}  // namespace carat::cli
