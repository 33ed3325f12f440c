#include "cli/terminal/display_width.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cwchar>
#include <vector>

#include "base/utf8.h"

namespace carat::cli {
namespace {

constexpr size_t kLeastColumns = 10, kUsualColumns = 80, kMostColumns = 10000;

locale_t utf8_locale() {
  static const locale_t locale = [] {
    for (const char* name : {"C.UTF-8", "C.utf8", "en_US.UTF-8"}) {
      if (locale_t found = ::newlocale(LC_CTYPE_MASK, name, nullptr)) return found;
    }
    return locale_t{};
  }();
  return locale;
}

// A character with the marks that stand on it.
struct Cell {
  size_t begin = 0, end = 0;
  size_t width = 0;
};

std::vector<Cell> cells_of(std::string_view text) {
  std::vector<Cell> cells;
  const Utf8Locale locale;
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = utf8_decode(text.substr(i));
    const auto length = static_cast<size_t>(std::max(c.length, 1));
    const int width = c.length == 0 ? 1 : character_width(c.code);
    if (width == 0 && !cells.empty()) {
      cells.back().end = i + length;
    } else {
      cells.push_back({i, i + length, static_cast<size_t>(std::max(width, 0))});
    }
    i += length;
  }
  return cells;
}

}  // namespace

Utf8Locale::Utf8Locale() : before_(available() ? ::uselocale(utf8_locale()) : nullptr) {}
Utf8Locale::~Utf8Locale() {
  if (before_ != nullptr) ::uselocale(static_cast<locale_t>(before_));
}
bool Utf8Locale::available() { return utf8_locale() != nullptr; }

int character_width(uint32_t code) {
  const Utf8Locale locale;
  const int width = ::wcwidth(static_cast<wchar_t>(code));
  const bool pictograph = code >= 0x1f000 && code < 0x1fc00;
  return width < 0 && pictograph ? 2 : width;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (const Cell& cell : cells_of(text)) width += cell.width;
  return width;
}

std::string_view fit_front(std::string_view text, size_t columns) {
  size_t end = 0;
  for (const Cell& cell : cells_of(text)) {
    if (cell.width > columns) break;
    columns -= cell.width;
    end = cell.end;
  }
  return text.substr(0, end);
}

std::string_view fit_back(std::string_view text, size_t columns) {
  const std::vector<Cell> cells = cells_of(text);
  size_t begin = text.size();
  for (size_t i = cells.size(); i-- > 0 && cells[i].width <= columns;) {
    columns -= cells[i].width;
    begin = cells[i].begin;
  }
  return text.substr(begin);
}

std::string wrapped(std::string_view text, size_t columns, size_t indent) {
  std::string result;
  size_t used = 0;
  bool first_word = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const size_t width = display_width(word);
    if (!first_word && used + 1 + width > columns) {
      result.append(1, '\n').append(indent, ' ');
      used = 0;
    } else if (!first_word) {
      result += ' ';
      ++used;
    }
    result += word;
    used += width;
    first_word = false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

size_t terminal_columns(int fd) {
  winsize size{};
  size_t columns = 0;
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0) {
    const char* given = std::getenv("COLUMNS");
    columns = given == nullptr ? 0 : std::strtoul(given, nullptr, 10);
  }
  return std::clamp(columns == 0 ? kUsualColumns : columns, kLeastColumns, kMostColumns);
}

}  // namespace carat::cli
