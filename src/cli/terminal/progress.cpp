#include "cli/terminal/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "cli/console.h"
#include "cli/terminal/display_width.h"

namespace carat::cli {
namespace {

constexpr size_t kWidestBar = 30, kNarrowestBar = 6;
constexpr double kSecondsUntilRate = 0.5;  // before, a rate is noise
constexpr double kLongestTime = 99 * 3600;

}  // namespace

std::string readable_bytes(double bytes) {
  constexpr std::array<const char*, 5> units = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < units.size()) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} {}", bytes, units[unit]) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string readable_seconds(double seconds) {
  const auto s = static_cast<int64_t>(std::clamp(seconds, 0.0, kLongestTime) + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

std::string progress_text(std::string_view what, uint64_t done, uint64_t total, double bytes_per_second, size_t columns) {
  done = total == 0 ? done : std::min(done, total);
  const double share = total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
  const std::string amount = total == 0 ? fmt::format(" {}", readable_bytes(static_cast<double>(done))) : fmt::format(" {:3.0f} %", share * 100);
  std::string rate, left;
  if (bytes_per_second > 0) {
    rate = fmt::format("  {}/s", readable_bytes(bytes_per_second));
    if (total > done) left = fmt::format("  {} left", readable_seconds(static_cast<double>(total - done) / bytes_per_second));
  }
  const size_t label = display_width(what);
  const auto needed = [&] { return label + amount.size() + rate.size() + left.size(); };
  if (needed() > columns) rate.clear();
  if (needed() > columns) left.clear();
  if (needed() > columns) return std::string(fit_front(what, columns > amount.size() ? columns - amount.size() : 0)) + amount;
  std::string bar;
  constexpr size_t kFrame = 3;  // a blank and two brackets
  if (total > 0 && needed() + kFrame + kNarrowestBar <= columns) {
    const size_t width = std::min(kWidestBar, columns - needed() - kFrame);
    const auto filled = static_cast<size_t>(share * static_cast<double>(width));
    bar = fmt::format(" [{}{}]", std::string(filled, '#'), std::string(width - filled, '.'));
  }
  return std::string(what) + bar + amount + rate + left;
}

Progress::Progress(std::string_view what) : what_(terminal_safe(what)) { std::replace(what_.begin(), what_.end(), '\n', ' '); }

void Progress::show(uint64_t done, uint64_t total) {
  if (!line_.live()) return;
  const auto now = std::chrono::steady_clock::now();
  if (!started_) {
    started_ = true;
    first_ = done;
    start_ = now;
  }
  if (!line_.due()) return;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double rate = seconds < kSecondsUntilRate || done < first_ ? 0 : static_cast<double>(done - first_) / seconds;
  line_.show(progress_text(what_, done, total, rate, line_.columns()));
}

}  // namespace carat::cli
