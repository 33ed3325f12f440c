#include "hub/content_range.h"

#include <charconv>

namespace carat::hub {

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view unit = "bytes ";
  const size_t dash = text.find('-'), slash = text.find('/');
  if (!text.starts_with(unit) || dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  const auto first = parse_number(text.substr(unit.size(), dash - unit.size()));
  const auto last = parse_number(text.substr(dash + 1, slash - dash - 1));
  const std::string_view whole = text.substr(slash + 1);
  const auto size = whole == "*" ? std::optional<uint64_t>(0) : parse_number(whole);
  if (!first || !last || !size || *first > *last || *last == UINT64_MAX || (*size != 0 && *last >= *size)) return std::nullopt;
  return ContentRange{{*first, *last + 1}, *size};
}

}  // namespace carat::hub
