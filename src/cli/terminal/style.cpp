#include "cli/terminal/style.h"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "cli/console.h"

namespace carat::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// Select Graphic Rendition. Colours are those of the terminal's own palette, so that they fit light and dark ones.
constexpr std::array<std::pair<style::Flags, std::string_view>, 6> kLooks = {{
    {style::bold, "1"},
    {style::dim, "2"},
    {style::italic, "3"},
    {style::code, "36"},
    {style::prompt, "1;32"},
    {style::warning, "33"},
}};

}  // namespace

bool styles_wanted(const StyleSettings& settings) {
  if (!settings.no_color.empty()) return false;
  if (!settings.force.empty() && settings.force != "0") return true;
  return settings.terminal && !settings.term.empty() && settings.term != "dumb";
}

bool styles_wanted(int fd) {
  return styles_wanted(
      {.terminal = ::isatty(fd) == 1, .no_color = environment("NO_COLOR"), .force = environment("CLICOLOR_FORCE"), .term = environment("TERM")});
}

bool is_capable_terminal(int fd) {
  const std::string_view term = environment("TERM");
  return ::isatty(fd) == 1 && !term.empty() && term != "dumb";
}

std::string style_begin(style::Flags flags) {
  std::string codes;
  for (const auto& [flag, code] : kLooks) {
    if ((flags & flag) == 0) continue;
    codes += codes.empty() ? "\x1b[" : ";";
    codes += code;
  }
  return codes.empty() ? codes : codes + "m";
}

std::string styled(bool wanted, style::Flags flags, std::string_view text) {
  if (!wanted || flags == style::plain || text.empty()) return std::string(text);
  return style_begin(flags) + std::string(text) + std::string(kStyleEnd);
}

void note(std::string_view text) { fmt::print(stderr, "{}\n", styled(styles_wanted(STDERR_FILENO), style::dim, terminal_safe(text))); }
void warn(std::string_view text) { fmt::print(stderr, "{}\n", styled(styles_wanted(STDERR_FILENO), style::warning, terminal_safe(text))); }

}  // namespace carat::cli
