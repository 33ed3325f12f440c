#pragma once
// How many columns text takes on a terminal. Widths are those of the C library's table for UTF-8, whatever the user's locale is.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace carat::cli {

// While one lives, this thread's characters are UTF-8 for the C library (wcwidth, iswprint, mbrtowc) and for what is built upon it.
class Utf8Locale {
 public:
  Utf8Locale();
  ~Utf8Locale();
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

  // False: this system has no UTF-8 locale; nothing was changed.
  static bool available();

 private:
  void* before_;
};

// 0 for what combines with the character before it, 1 or 2, -1 for control characters and what the table does not know. Pictographs newer than the table count 2.
int character_width(uint32_t code);
// Columns of UTF-8 text on one line; control characters count nothing.
size_t display_width(std::string_view text);
// The longest beginning (or end) of the text that takes at most so many columns; never a part of a character with its marks.
std::string_view fit_front(std::string_view text, size_t columns);
std::string_view fit_back(std::string_view text, size_t columns);

// The text broken at blanks into lines of at most `columns` columns, beside the `indent` blanks that those after the first begin with. A longer word has a line of its own.
std::string wrapped(std::string_view text, size_t columns, size_t indent = 0);

// Columns of the terminal behind fd; else COLUMNS, else 80. At least 10.
size_t terminal_columns(int fd);

}  // namespace carat::cli
