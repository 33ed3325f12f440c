#pragma once
// Bold, dim and colour, and when they are wanted.
#include <cstdint>
#include <string>
#include <string_view>

namespace carat::cli {

// What a piece of text is, several at once: how it looks is decided in one place (style.cpp).
namespace style {
using Flags = uint8_t;
inline constexpr Flags plain = 0, bold = 1, italic = 2, dim = 4, code = 8, prompt = 16, warning = 32;
}  // namespace style

struct StyleSettings {
  bool terminal = false;      // the output is one
  std::string_view no_color;  // NO_COLOR: anything in it: no colours, whatever else is said
  std::string_view force;     // CLICOLOR_FORCE: anything but "" and "0": colours, also in a pipe
  std::string_view term;      // TERM: "dumb" and "" have none
};
bool styles_wanted(const StyleSettings& settings);
// The same from the environment, for an open file.
bool styles_wanted(int fd);

// A terminal that can move its cursor: not TERM=dumb.
bool is_capable_terminal(int fd);

// The escape sequences that begin a look, and the one that ends all; "" for plain.
std::string style_begin(style::Flags flags);
inline constexpr std::string_view kStyleEnd = "\x1b[0m";

// The text between them when `wanted`, else as it is. The text is shown as given: make it terminal_safe() first.
std::string styled(bool wanted, style::Flags flags, std::string_view text);

// A line for the user on stderr, dim where that is possible; made terminal_safe() here.
void note(std::string_view text);
// Likewise, in the colour of a warning.
void warn(std::string_view text);

}  // namespace carat::cli
