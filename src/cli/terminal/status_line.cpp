#include "cli/terminal/status_line.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "cli/terminal/display_width.h"
#include "cli/terminal/style.h"

namespace carat::cli {

namespace {
constexpr std::chrono::milliseconds kInterval{100};
constexpr std::string_view kClearToEnd = "\x1b[K";
}  // namespace

StatusLine::StatusLine() : live_(is_capable_terminal(STDERR_FILENO)), next_(std::chrono::steady_clock::now() + kInterval) {}

bool StatusLine::due() {
  if (!live_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return false;
  next_ = now + kInterval;
  return true;
}

size_t StatusLine::columns() const { return terminal_columns(STDERR_FILENO) - 1; }

void StatusLine::show(std::string_view text, std::string_view begin, std::string_view end) {
  if (!live_) return;
  drawn_ = true;
  fmt::print(stderr, "\r{}{}{}{}", begin, fit_front(text, columns()), end, kClearToEnd);
  std::fflush(stderr);
}

void StatusLine::clear() {
  if (!drawn_) return;
  drawn_ = false;
  fmt::print(stderr, "\r{}", kClearToEnd);
  std::fflush(stderr);
}

}  // namespace carat::cli
