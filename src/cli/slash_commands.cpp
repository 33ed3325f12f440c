#include "cli/slash_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/terminal/display_width.h"

namespace carat::cli {
namespace {

using Id = SlashCommand::Id;
using Takes = SlashCommand::Takes;

constexpr std::array kCommands = {
    SlashCommand{Id::help, "/help", Takes::nothing, "", "this list"},
    SlashCommand{Id::system, "/system", Takes::text, "[TEXT|-]", "what the model is told before all; - takes it away; nothing: shows it"},
    SlashCommand{Id::think, "/think", Takes::words, "on|off|N|show|hide", "think before answering, at most N tokens; show the thoughts, the last one at once",
                 "hide off on show"},
    SlashCommand{Id::save, "/save", Takes::file, "FILE", "write the conversation as JSON"},
    SlashCommand{Id::load, "/load", Takes::file, "[FILE]", "go on with a saved one; nothing: the one of the last run"},
    SlashCommand{Id::stats, "/stats", Takes::nothing, "", "figures of the last answer, and from now on of each"},
    SlashCommand{Id::clear, "/clear", Takes::nothing, "", "forget the conversation, keep the system text"},
    SlashCommand{Id::retry, "/retry", Takes::nothing, "", "ask the last question again"},
    SlashCommand{Id::image, "/image", Takes::file, "FILE", "show a picture (not there yet)"},
    SlashCommand{Id::audio, "/audio", Takes::file, "FILE", "play a sound (not there yet)"},
    SlashCommand{Id::video, "/video", Takes::file, "FILE", "show a video (not there yet)"},
    SlashCommand{Id::bye, "/bye", Takes::nothing, "", "end (so does Ctrl-D)"},
};
// Other programs' names for it.
constexpr std::array<std::string_view, 3> kEnds = {"/exit", "/quit", "/q"};

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '?'; }
bool blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

const SlashCommand* find(std::string_view name) {
  if (std::find(kEnds.begin(), kEnds.end(), name) != kEnds.end()) name = "/bye";
  if (name == "/?") name = "/help";
  const auto found = std::find_if(kCommands.begin(), kCommands.end(), [&](const SlashCommand& command) { return command.name == name; });
  return found == kCommands.end() ? nullptr : &*found;
}

}  // namespace

std::span<const SlashCommand> slash_commands() { return kCommands; }

std::optional<SlashLine> parse_slash(std::string_view text) {
  if (!text.starts_with('/')) return std::nullopt;
  size_t end = 1;
  while (end < text.size() && letter(text[end])) ++end;
  if (end == 1 || (end < text.size() && !blank(text[end]))) return std::nullopt;
  std::string name(text.substr(0, end));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return SlashLine{find(name), name, std::string(trim(text.substr(end)))};
}

Completion complete_slash(std::string_view before) {
  if (!before.starts_with('/')) return {};
  const size_t gap = before.find(' ');
  Completion result;
  if (gap == std::string_view::npos) {
    for (const SlashCommand& command : kCommands) {
      if (command.name.starts_with(before)) result.candidates.push_back(std::string(command.name) + (command.takes == Takes::nothing ? "" : " "));
    }
    std::sort(result.candidates.begin(), result.candidates.end());
    return result;
  }
  const SlashCommand* command = find(before.substr(0, gap));
  if (command == nullptr) return {};
  result.start = std::min(before.find_first_not_of(' ', gap), before.size());
  const std::string typed(before.substr(result.start));
  if (command->takes == Takes::file) result.candidates = file_names(typed);
  if (command->takes == Takes::words) {
    for (std::string_view rest = command->words; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      if (rest.substr(0, end).starts_with(typed)) result.candidates.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return result;
}

std::string slash_help(size_t columns) {
  constexpr size_t kLeft = 27, kLeastRight = 30, kIndent = 2;
  const bool beside = columns >= kLeft + kLeastRight;  // narrow terminals have the explanation on a line of its own
  const size_t indent = beside ? kLeft : kIndent;
  std::string text;
  for (const SlashCommand& command : kCommands) {
    const std::string name = fmt::format("{}{}{}", command.name, command.argument.empty() ? "" : " ", command.argument);
    const std::string help = wrapped(command.help, columns - indent, indent);
    text += beside ? fmt::format("{:<{}}{}\n", name, kLeft, help) : fmt::format("{}\n{}{}\n", name, std::string(kIndent, ' '), help);
  }
  for (const std::string_view paragraph : {
           "Enter sends. A backslash at the end of a line, or \"\"\" around the text, makes several lines; so does Alt-Enter. A pasted text is one message.",
           "Ctrl-C stops an answer, or empties the line; Tab completes; Ctrl-R searches what was typed.",
           "A line that begins with a blank is never a command, and is not kept.",
       }) {
    text += wrapped(paragraph, columns) + "\n";
  }
  return text;
}

}  // namespace carat::cli
