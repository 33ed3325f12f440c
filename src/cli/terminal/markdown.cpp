#include "cli/terminal/markdown.h"

#include <algorithm>
#include <optional>

#include "cli/console.h"

namespace carat::cli {
namespace {

constexpr int kMaxDepth = 4;
constexpr size_t kNone = std::string_view::npos;

bool blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }
bool word(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

size_t run_length(std::string_view text, size_t at) {
  const size_t end = text.find_first_not_of(text[at], at);
  return (end == kNone ? text.size() : end) - at;
}

// Where a counterpart stands: npos there is none; `waiting` when what comes next could change that.
struct Closer {
  size_t at = kNone;
  bool waiting = false;
};

// The run of exactly `length` back-ticks from `from` on.
Closer code_closer(std::string_view text, size_t from, size_t length, bool complete) {
  for (size_t i = text.find('`', from); i != kNone; i = text.find('`', i)) {
    const size_t run = run_length(text, i);
    if (i + run == text.size() && !complete) return {kNone, true};
    if (run == length) return {i, false};
    i += run;
  }
  return {kNone, !complete};
}

// The run of stars that closes one of `length` stars. Gives where the last `length` stars of it begin: those before belong to the inside.
Closer star_closer(std::string_view text, size_t length, bool complete) {
  for (size_t i = length; i < text.size();) {
    const char c = text[i];
    if (c == '\\') {
      i += 2;
    } else if (c == '`') {
      const size_t ticks = run_length(text, i);
      const Closer code = code_closer(text, i + ticks, ticks, complete);
      if (code.waiting) return {kNone, true};
      i = code.at == kNone ? i + ticks : code.at + ticks;
    } else if (c == '*') {
      const size_t run = run_length(text, i);
      if (i + run == text.size() && !complete) return {kNone, true};
      const bool enough = length == 1 ? run % 2 == 1 : run >= length;
      if (enough && i > length && !blank(text[i - 1])) return {i + run - length, false};
      i += run;
    } else {
      ++i;
    }
  }
  return {kNone, !complete};
}

// One blank on each side belongs to the marks, not to the code.
std::string_view trim_code(std::string_view code) {
  const bool padded = code.size() > 2 && code.front() == ' ' && code.back() == ' ' && code.find_first_not_of(' ') != kNone;
  return padded ? code.substr(1, code.size() - 2) : code;
}

}  // namespace

void MarkdownStream::push(std::string_view text, std::string& out) {
  out_ = &out;
  std::string valid;
  bytes_.push(text, valid);
  if (!rendered_) {
    out += terminal_safe(valid);
    return;
  }
  // Character by character: what has been decided cannot depend on where the pieces end.
  for (std::string_view rest = valid; !rest.empty();) {
    const auto length = static_cast<size_t>(std::max(1, utf8_decode(rest).length));
    held_ += rest.substr(0, length);
    rest.remove_prefix(length);
    settle(false);
  }
  close_style();
}

void MarkdownStream::finish(std::string& out) {
  out_ = &out;
  std::string valid;
  bytes_.flush(valid);
  if (!rendered_) {
    out += terminal_safe(valid);
    return;
  }
  held_ += valid;
  settle(true);
  close_style();
  line_ = Line::start;
  indent_ = 0;
  heading_ = false;
  fence_ = {};
  before_ = '\n';
}

void MarkdownStream::settle(bool end) {
  while (!held_.empty()) {
    const size_t done = step(end);
    if (done == kNone) return;
    held_.erase(0, done);
  }
}

// Shows some of what waits and gives its length in held_ (0: only the state has changed); npos: more has to come first.
size_t MarkdownStream::step(bool end) {
  const bool in_code = fence_.mark != 0;
  if (line_ == Line::start) return in_code ? code_line_start(end) : line_start(end);
  if (!in_code) return inline_step(held_, end || held_.back() == '\n' || held_.size() > kMaxHeld, heading_ ? style::bold : style::plain, 0);
  return take(static_cast<size_t>(std::max(1, utf8_decode(held_).length)), style::code);
}

size_t MarkdownStream::line_start(bool end) {
  const char c = held_.front();
  if (c == ' ' || c == '\t') {
    ++indent_;
    emit(held_.substr(0, 1), style::plain);
    return 1;
  }
  if (c == '#' || c == '`' || c == '~') {
    const size_t run = run_length(held_, 0);
    const bool open_ended = run == held_.size() && !end && run <= kMaxHeld;
    if (open_ended) return kNone;
    if (c == '#' && run <= 6 && indent_ <= 3 && run < held_.size() && held_[run] == ' ') {
      heading_ = true;
      line_ = Line::inside;
      return run + 1;
    }
    if (c != '#' && run >= 3) {
      // A fence is a line of its own, and what it says after the marks holds no back-tick.
      const bool code_in_text = c == '`' && held_.find('`', run) != kNone;
      const bool whole = end || held_.back() == '\n';
      if (!code_in_text && !whole && held_.size() <= kMaxHeld) return kNone;
      if (!code_in_text && whole) {
        fence_ = {c, run};
        return take(held_.size(), style::dim);
      }
    }
  }
  line_ = Line::inside;
  return 0;
}

// Within a fenced block: is this the line that ends it?
size_t MarkdownStream::code_line_start(bool end) {
  const size_t mark = held_.find_first_not_of(" \t");
  const bool waiting = !end && held_.size() <= kMaxHeld;
  if (mark == kNone && waiting) return kNone;
  if (mark != kNone && held_[mark] == fence_.mark) {
    const size_t run = run_length(held_, mark);
    const size_t after = held_.find_first_not_of(" \t", mark + run);
    if (after == kNone && waiting) return kNone;
    if (run >= fence_.length && (after == kNone ? end : held_[after] == '\n')) {
      fence_ = {};
      return take(held_.size(), style::dim);
    }
  }
  line_ = Line::inside;
  return 0;
}

// The first piece of text that begins within a line: a span, or one character.
size_t MarkdownStream::inline_step(std::string_view text, bool complete, style::Flags flags, int depth) {
  const char c = text.front();
  if (c == '`' || c == '*') return span(text, complete, flags, depth);
  if (c == '\\') {
    if (text.size() == 1 && !complete) return kNone;
    const bool escapes = text.size() > 1 && std::string_view("*`_#").find(text[1]) != kNone;
    emit(text.substr(escapes ? 1 : 0, 1), flags);
    return escapes ? 2 : 1;
  }
  const auto length = static_cast<size_t>(std::max(1, utf8_decode(text).length));
  emit(text.substr(0, length), flags);
  if (c == '\n') {
    line_ = Line::start;
    indent_ = 0;
    heading_ = false;
  }
  return length;
}

size_t MarkdownStream::span(std::string_view text, bool complete, style::Flags flags, int depth) {
  const size_t run = run_length(text, 0);
  if (run == text.size() && !complete) return kNone;
  const bool code = text.front() == '`';
  // "2 * 3" and "2*3" are no emphasis; "a **b**" and, in scripts that have no blanks, a star after any letter may be.
  const bool opens = code || (run <= 3 && depth < kMaxDepth && run < text.size() && !blank(text[run]) && !word(before_));
  Closer closer;
  if (opens) closer = code ? code_closer(text, run, run, complete) : star_closer(text, run, complete);
  if (closer.waiting) return kNone;
  if (closer.at == kNone) {
    emit(text.substr(0, run), flags);
    return run;
  }
  const std::string_view inside = text.substr(run, closer.at - run);
  if (code) {
    emit(trim_code(inside), flags | style::code);
  } else {
    before_ = '*';
    const style::Flags look = (run >= 2 ? style::bold : style::plain) | (run != 2 ? style::italic : style::plain);
    spans(inside, flags | look, depth + 1);
  }
  before_ = text.front();
  return closer.at + run;
}

void MarkdownStream::spans(std::string_view text, style::Flags flags, int depth) {
  while (!text.empty()) text.remove_prefix(inline_step(text, true, flags, depth));
}

// Shows the first n bytes that wait, as they are.
size_t MarkdownStream::take(size_t n, style::Flags flags) {
  emit(std::string_view(held_).substr(0, n), flags);
  line_ = before_ == '\n' ? Line::start : Line::inside;
  if (line_ == Line::start) indent_ = 0;
  return n;
}

void MarkdownStream::emit(std::string_view text, style::Flags flags) {
  if (text.empty()) return;
  if (flags != current_) {
    close_style();
    *out_ += style_begin(flags);
    current_ = flags;
  }
  *out_ += terminal_safe(text);
  before_ = text.back();
}

void MarkdownStream::close_style() {
  if (current_ != style::plain) *out_ += kStyleEnd;
  current_ = style::plain;
}

}  // namespace carat::cli
