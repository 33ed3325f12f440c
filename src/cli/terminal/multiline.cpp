#include "cli/terminal/multiline.h"

#include <algorithm>

namespace carat::cli {
namespace {

constexpr std::string_view kQuotes = R"(""")";

bool closed_block(std::string_view typed) {
  const size_t end = typed.find_last_not_of(" \t\n");
  const std::string_view trimmed = typed.substr(0, end == std::string_view::npos ? 0 : end + 1);
  return trimmed.size() >= 2 * kQuotes.size() && trimmed.starts_with(kQuotes) && trimmed.ends_with(kQuotes);
}

}  // namespace

bool message_goes_on(std::string_view typed) {
  if (typed.starts_with(kQuotes)) return !closed_block(typed);
  return typed.ends_with('\\');
}

std::string typed_message(std::string_view typed) {
  if (closed_block(typed)) {
    std::string_view inside = typed.substr(kQuotes.size(), typed.rfind(kQuotes) - kQuotes.size());
    if (inside.starts_with('\n')) inside.remove_prefix(1);
    if (inside.ends_with('\n')) inside.remove_suffix(1);
    return std::string(inside);
  }
  std::string text;
  for (size_t i = 0; i < typed.size(); ++i) {
    if (typed[i] == '\\' && i + 1 < typed.size() && typed[i + 1] == '\n') continue;
    text += typed[i];
  }
  return text;
}

std::optional<size_t> place_above_or_below(std::wstring_view text, size_t at, int direction) {
  const auto line_start = [&](size_t place) {
    const size_t end_before = place == 0 ? std::wstring_view::npos : text.rfind(L'\n', place - 1);
    return end_before == std::wstring_view::npos ? size_t{0} : end_before + 1;
  };
  const auto line_end = [&](size_t place) { return std::min(text.find(L'\n', place), text.size()); };
  const size_t start = line_start(at), end = line_end(at);
  if (direction < 0 ? start == 0 : end == text.size()) return std::nullopt;
  const size_t other = direction < 0 ? line_start(start - 1) : end + 1;
  return std::min(other + (at - start), line_end(other));
}

}  // namespace carat::cli
