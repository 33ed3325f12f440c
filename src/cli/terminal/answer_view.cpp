#include "cli/terminal/answer_view.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "cli/console.h"
#include "cli/terminal/style.h"

namespace carat::cli {
namespace {

constexpr size_t kLongestCall = size_t{16} << 10;  // bytes that are shown of one

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Characters that turn the direction of what follows would let a call look like another one: U+202A..202E, U+2066..2069 as \uXXXX.
std::string without_direction(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto third = i + 2 < text.size() ? static_cast<unsigned char>(text[i + 2]) : 0U;
    const bool embeds = text.substr(i, 2) == "\xe2\x80" && third >= 0xaa && third <= 0xae;
    const bool isolates = text.substr(i, 2) == "\xe2\x81" && third >= 0xa6 && third <= 0xa9;
    if (embeds || isolates) {
      out += fmt::format("\\u{:04x}", (embeds ? 0x2000 : 0x2040) + (third & 0x3f));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string readable_call(const ToolCall& call, size_t bytes) {
  std::string text = call.name + "(";
  if (call.arguments.is_object()) {
    bool first = true;
    for (const auto& [name, value] : call.arguments.items()) {
      text += (first ? "" : ", ") + name + "=" + dump(value);
      first = false;
    }
  } else {
    text += dump(call.arguments);
  }
  text += ")";
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() > bytes) {
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    const size_t more = text.size() - bytes;
    text.resize(bytes);
    text += fmt::format("... ({} bytes more)", more);
  }
  return terminal_safe(without_direction(text));
}

AnswerView::AnswerView(const AnswerLook& look)
    : terminal_(stdout_is_terminal()), markdown_(look.markdown && styles_wanted(STDOUT_FILENO)), thinking_(look.thoughts) {}

void AnswerView::content(std::string_view piece) {
  if (piece.empty()) return;
  thinking_.end();
  at_line_start_ = piece.ends_with('\n');
  if (terminal_) {
    std::string shown;
    markdown_.push(piece, shown);
    print(shown);
  } else {
    print(piece);
  }
  flush_output();
}

void AnswerView::tool_call(const ToolCall& call) {
  end();
  const bool with_style = styles_wanted(STDERR_FILENO);
  fmt::print(stderr, "{} {}\n", styled(with_style, style::prompt, "call"), readable_call(call, kLongestCall));
}

void AnswerView::end() {
  thinking_.end();
  std::string shown;
  if (terminal_) markdown_.finish(shown);
  if (!at_line_start_) shown += "\n";
  at_line_start_ = true;
  print(shown);
  flush_output();
}

}  // namespace carat::cli
