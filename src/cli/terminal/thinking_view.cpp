#include "cli/terminal/thinking_view.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/console.h"
#include "cli/terminal/display_width.h"
#include "cli/terminal/style.h"

namespace carat::cli {
namespace {

constexpr size_t kTailBytes = 400;
constexpr size_t kLeastTail = 12;  // columns below which the last words are left out
constexpr std::string_view kIndent = "  ";

// At a character's border: a tail that begins in the middle of one would show a replacement.
void keep_back(std::string& text, size_t bytes) {
  if (text.size() <= bytes) return;
  size_t from = text.size() - bytes;
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80) ++from;
  text.erase(0, from);
}

// Appends with an indent at the start of each line that has something in it.
void indent(std::string_view safe, bool& at_line_start, std::string& out) {
  for (const char c : safe) {
    if (at_line_start && c != '\n') out += kIndent;
    at_line_start = c == '\n';
    out += c;
  }
}

}  // namespace

std::string thought_text(std::string_view thought, bool with_style) {
  while (thought.ends_with('\n')) thought.remove_suffix(1);
  std::string text;
  bool at_line_start = true;
  indent(terminal_safe(thought), at_line_start, text);
  return styled(with_style, style::dim, text) + "\n";
}

ThinkingView::ThinkingView(Mode mode) : mode_(mode), terminal_(::isatty(STDERR_FILENO) == 1), styled_(styles_wanted(STDERR_FILENO)) {}

double ThinkingView::seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

void ThinkingView::begin() {
  running_ = true;
  tail_.clear();
  tokens_ = 0;
  at_line_start_ = true;
  start_ = std::chrono::steady_clock::now();
  if (!terminal_) return;
  const bool one_line = mode_ == Mode::folded && !line_.live();
  if (one_line || mode_ == Mode::shown) fmt::print(stderr, "{}\n", styled(styled_, style::dim, mode_ == Mode::shown ? "thinking:" : "thinking ..."));
}

void ThinkingView::text(std::string_view piece) {
  if (!running_) begin();
  if (!terminal_ || piece.empty()) return;
  const std::string safe = terminal_safe(piece);
  if (mode_ == Mode::shown) {
    std::string out;
    indent(safe, at_line_start_, out);
    fmt::print(stderr, "{}", styled(styled_, style::dim, out));
    std::fflush(stderr);
    return;
  }
  tail_ += safe;
  std::replace_if(tail_.begin(), tail_.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  keep_back(tail_, kTailBytes);
  draw();
}

void ThinkingView::tokens(int32_t count) {
  if (!running_) begin();
  tokens_ = count;
  if (mode_ == Mode::folded) draw();
}

void ThinkingView::draw() {
  if (!line_.due()) return;
  std::string text = fmt::format("thinking {:.1f} s, {} tokens", seconds(), tokens_);
  const size_t columns = line_.columns(), used = display_width(text) + 2;
  if (columns >= used + kLeastTail) text += ": " + std::string(fit_back(tail_, columns - used));
  line_.show(text, styled_ ? style_begin(style::dim) : "", styled_ ? kStyleEnd : "");
}

void ThinkingView::end() {
  if (!running_) return;
  running_ = false;
  line_.clear();
  if (!terminal_) return;
  if (mode_ == Mode::shown && !at_line_start_) fmt::print(stderr, "\n");
  const std::string_view hint = mode_ == Mode::folded ? " (/think show)" : "";
  fmt::print(stderr, "{}\n", styled(styled_, style::dim, fmt::format("thought for {:.1f} s, {} tokens{}", seconds(), tokens_, hint)));
  std::fflush(stderr);
}

}  // namespace carat::cli
