#include "cli/terminal/answer_view.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "cli/console.h"
#include "cli/terminal/style.h"

namespace carat::cli {
namespace {

constexpr size_t kLongestCall = 2000;

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

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
    text.resize(bytes);
    text += "...";
  }
  return terminal_safe(text);
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
