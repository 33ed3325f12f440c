#pragma once
// How a thought looks while it runs and after it, on stderr: folded, one dim line that tells time, tokens and the last words, and afterwards a summary; or in full.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/terminal/status_line.h"

namespace carat::cli {

// The text of a thought for a terminal, dim if wanted, each line indented by two blanks.
std::string thought_text(std::string_view thought, bool styled);

class ThinkingView {
 public:
  enum class Mode : uint8_t { folded, shown };
  explicit ThinkingView(Mode mode);

  // What is new of the thought, whole characters; the first call begins it.
  void text(std::string_view piece);
  // Tokens of the thought so far.
  void tokens(int32_t count);
  // The thought is over: the line goes, a summary stays. Nothing happens when none runs. A later text() begins another one.
  void end();

 private:
  void begin();
  void draw();
  double seconds() const;

  Mode mode_;
  bool terminal_, styled_;
  StatusLine line_;
  bool running_ = false;
  std::string tail_;  // the last words, on one line
  bool at_line_start_ = true;
  int32_t tokens_ = 0;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace carat::cli
