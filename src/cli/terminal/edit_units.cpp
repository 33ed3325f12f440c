#include "cli/terminal/edit_units.h"

#include <cwctype>

#include "base/utf8.h"
#include "cli/terminal/display_width.h"

namespace carat::cli {
namespace {

// The codes that stand for several characters have to be printable and of the right width for the C library: private use (one column) and the last rows
// of CJK extension B (two). Text that has these very characters is kept right: they get a code like any other cluster.
struct Range {
  uint32_t first, last;
  bool contains(uint32_t code) const { return code >= first && code <= last; }
  size_t size() const { return last - first + 1; }
};
constexpr Range kNarrow{0xf0000, 0xffffd}, kWide{0x29000, 0x2a6d0};
constexpr std::string_view kDottedCircle = "\xe2\x97\x8c";

std::string utf8(uint32_t code) {
  std::string text;
  utf8_append(code, text);
  return text;
}

bool control(uint32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

}  // namespace

const std::string* EditUnits::known(wchar_t unit) const {
  const auto code = static_cast<uint32_t>(unit);
  if (kNarrow.contains(code) && code - kNarrow.first < narrow_.size()) return &narrow_[code - kNarrow.first];
  if (kWide.contains(code) && code - kWide.first < wide_.size()) return &wide_[code - kWide.first];
  return nullptr;
}

wchar_t EditUnits::intern(const std::string& text, int width) {
  if (const auto found = codes_.find(text); found != codes_.end()) return found->second;
  const Range range = width == 2 ? kWide : kNarrow;
  std::vector<std::string>& table = width == 2 ? wide_ : narrow_;
  if (table.size() == range.size()) return 0;
  const auto code = static_cast<wchar_t>(range.first + table.size());
  table.push_back(text);
  codes_.emplace(text, code);
  return code;
}

wchar_t EditUnits::unit(uint32_t code) {
  // What the C library calls unprintable but terminals show (new pictographs) would be spelled out as \U+....
  const int width = character_width(code);
  const bool too_new = width == 2 && ::iswprint(static_cast<wint_t>(code)) == 0;
  if (kNarrow.contains(code) || kWide.contains(code) || too_new) {
    if (const wchar_t own = intern(utf8(code), width)) return own;
  }
  return static_cast<wchar_t>(code);
}

wchar_t EditUnits::with_mark(wchar_t before, uint32_t code) {
  if (before == 0 || control(static_cast<uint32_t>(before))) return intern(utf8(code), 1);
  const std::string base = text(std::wstring_view(&before, 1));
  constexpr size_t kMostBytes = 64;  // a character with ever more marks on it stays bounded
  if (base.size() + 4 > kMostBytes) return 0;
  const uint32_t shown_code = utf8_decode(base).code;
  return intern(base + utf8(code), character_width(shown_code) == 2 ? 2 : 1);
}

std::wstring EditUnits::units(std::string_view text) {
  std::wstring result;
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    text.remove_prefix(c.length == 0 ? 1 : static_cast<size_t>(c.length));
    const uint32_t code = c.length == 0 ? 0xfffd : c.code;
    if (code == 0) continue;  // ends a string of the library's
    if (character_width(code) != 0) {
      result += unit(code);
      continue;
    }
    const wchar_t joined = with_mark(result.empty() ? L'\0' : result.back(), code);
    if (joined == 0) continue;
    const bool alone = result.empty() || control(static_cast<uint32_t>(result.back()));
    if (alone) {
      result += joined;
    } else {
      result.back() = joined;
    }
  }
  return result;
}

std::string EditUnits::text(std::wstring_view units) const {
  std::string result;
  for (const wchar_t unit : units) {
    if (const std::string* cluster = known(unit)) {
      result += *cluster;
    } else {
      utf8_append(static_cast<uint32_t>(unit), result);
    }
  }
  return result;
}

std::string EditUnits::shown(wchar_t unit) const {
  const std::string* cluster = known(unit);
  if (cluster == nullptr) return utf8(static_cast<uint32_t>(unit));
  return character_width(utf8_decode(*cluster).code) == 0 ? std::string(kDottedCircle) + *cluster : *cluster;
}

}  // namespace carat::cli
