#pragma once
// An answer's Markdown as it comes, for a terminal: headings and **strong** bold, *emphasis* italic, `code` and fenced blocks coloured; lists, quotes, tables and
// links stay as they were written. What has been put out is never taken back: a marker waits until its counterpart has come, its line has ended, or
// kMaxHeld bytes wait; a marker without counterpart is text. So the visible text does not depend on how the answer was cut into pieces.
#include <cstddef>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "cli/terminal/style.h"

namespace carat::cli {

class MarkdownStream {
 public:
  static constexpr size_t kMaxHeld = 240;

  // rendered false: the text as it is. Either way control characters are spelled out (terminal_safe).
  explicit MarkdownStream(bool rendered) : rendered_(rendered) {}

  // Appends what can be shown now. No look is left open at the end: other output may come in between.
  void push(std::string_view text, std::string& out);
  // The text is over: appends what waited. Another text may follow, on a line of its own.
  void finish(std::string& out);

 private:
  enum class Line : uint8_t { start, inside };
  struct Fence {
    char mark = 0;  // 0: not within a fenced block
    size_t length = 0;
  };

  void settle(bool end);
  size_t step(bool end);
  size_t line_start(bool end);
  size_t code_line_start(bool end);
  size_t inline_step(std::string_view text, bool complete, style::Flags flags, int depth);
  size_t span(std::string_view text, bool complete, style::Flags flags, int depth);
  void spans(std::string_view text, style::Flags flags, int depth);
  size_t take(size_t n, style::Flags flags);
  void emit(std::string_view text, style::Flags flags);
  void close_style();

  bool rendered_;
  Utf8Stream bytes_;
  std::string held_;  // what waits; begins where the output ends
  Line line_ = Line::start;
  size_t indent_ = 0;  // blanks at the start of this line
  bool heading_ = false;
  Fence fence_;
  char before_ = '\n';  // last byte put out
  style::Flags current_ = style::plain;
  std::string* out_ = nullptr;  // of the call that runs
};

}  // namespace carat::cli
