#pragma once
// One line at the bottom of stderr that changes in place and leaves nothing behind. On a terminal that cannot do that, and elsewhere, nothing is shown.
#include <chrono>
#include <string>
#include <string_view>

namespace carat::cli {

class StatusLine {
 public:
  StatusLine();
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool live() const { return live_; }
  // True at most ten times a second, never within the first tenth: what is quick shows nothing.
  bool due();
  // Columns a text may take: one less than the terminal has, so that no line wraps.
  size_t columns() const;
  // Replaces what is there; cut to columns(). The text is shown as given; `begin` and `end` (escape sequences) go around it and take no columns.
  void show(std::string_view text, std::string_view begin = {}, std::string_view end = {});
  void clear();

 private:
  bool live_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace carat::cli
