#include "cli/terminal/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace carat::cli {

namespace {
constexpr int kWidth = 30;
constexpr std::chrono::milliseconds kInterval{100};
}  // namespace

// The first line waits for one interval: what is quick shows nothing.
Progress::Progress(std::string_view what) : what_(what), enabled_(::isatty(STDERR_FILENO) == 1), next_(std::chrono::steady_clock::now() + kInterval) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::show(uint64_t done, uint64_t total) {
  if (!enabled_ || total == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + kInterval;
  drawn_ = true;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<size_t>(share * kWidth);
  fmt::print(stderr, "\r{} [{}{}] {:3.0f} %\x1b[K", what_, std::string(filled, '#'), std::string(kWidth - filled, '.'), share * 100);
  std::fflush(stderr);
}

}  // namespace carat::cli
