#pragma once
// Text as the line editor sees it: one wide character for all that moves and is deleted together. A character with marks on it (combining accents, joiners,
// variation selectors) gets a code of its own, out of a range that nothing else uses here, with the width of its base: the editor's library counts a column for each mark.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace carat::cli {

// Needs a Utf8Locale on the calling thread.
class EditUnits {
 public:
  // The units of UTF-8 text; bad bytes become U+FFFD.
  std::wstring units(std::string_view text);
  // The unit that `unit` becomes when `code` (of width 0) follows it; 0: there is none left. before 0: the mark stands alone.
  wchar_t with_mark(wchar_t before, uint32_t code);
  // The unit of one character of width above 0, or of a control character.
  wchar_t unit(uint32_t code);

  std::string text(std::wstring_view units) const;
  // The same with a dotted circle under marks that stand alone.
  std::string shown(wchar_t unit) const;

 private:
  wchar_t intern(const std::string& text, int width);
  const std::string* known(wchar_t unit) const;

  std::map<std::string, wchar_t> codes_;
  std::vector<std::string> narrow_, wide_;
};

}  // namespace carat::cli
