#pragma once
// A bar on stderr that says how far something is, how fast it goes and how long it will take; nothing unless stderr is a terminal. Gone when it is destroyed.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "cli/terminal/status_line.h"

namespace carat::cli {

class Progress {
 public:
  // `what` is shown in front: "loading", "model-00001-of-00002.gguf"; text from outside is made terminal_safe here.
  explicit Progress(std::string_view what);

  // Bytes so far, those that were there at the start included. total 0: not known, then there is no bar. One thread at a time. Draws at most ten times a second.
  void show(uint64_t done, uint64_t total);

 private:
  std::string what_;
  StatusLine line_;
  bool started_ = false;
  uint64_t first_ = 0;  // done at the first show(): what was resumed was not fetched
  std::chrono::steady_clock::time_point start_;
};

// The line that a bar shows, at most `columns` wide: what does not fit is left out, the bar first, then the rate, then the time left; last the label is cut.
// bytes_per_second 0: not known.
std::string progress_text(std::string_view what, uint64_t done, uint64_t total, double bytes_per_second, size_t columns);
// "950 B", "12.3 MB", "1.2 GB": powers of 1000, as disks and networks count.
std::string readable_bytes(double bytes);
// "8 s", "3 min 20 s", "2 h 5 min".
std::string readable_seconds(double seconds);

}  // namespace carat::cli
