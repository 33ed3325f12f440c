#pragma once
// An answer as it comes: its text on stdout, rendered on a terminal and as it is elsewhere; thoughts and calls on stderr.
#include <cstdint>
#include <string>
#include <string_view>

#include "chat/message.h"
#include "cli/terminal/markdown.h"
#include "cli/terminal/thinking_view.h"

namespace carat::cli {

struct AnswerLook {
  bool markdown = true;  // false: text is shown as it is also on a terminal
  ThinkingView::Mode thoughts = ThinkingView::Mode::folded;
};

class AnswerView {
 public:
  explicit AnswerView(const AnswerLook& look);

  // Pieces of whole characters, in their order. Fail with io when stdout cannot take them.
  void content(std::string_view piece);
  void reasoning(std::string_view piece) { thinking_.text(piece); }
  void thought_tokens(int32_t count) { thinking_.tokens(count); }
  void tool_call(const ToolCall& call);
  // The answer is over, or broken off: what waited is shown, and the line ended.
  void end();

 private:
  bool terminal_;
  MarkdownStream markdown_;
  ThinkingView thinking_;
  bool at_line_start_ = true;
};

// "get_weather(city="Paris", days=3)" on one line, safe for a terminal, cut where it gets longer than `bytes`.
std::string readable_call(const ToolCall& call, size_t bytes);

}  // namespace carat::cli
