#pragma once
// Messages of several lines, typed where Enter ends a message: a block between """, or a backslash at the end of a line.
#include <optional>
#include <string>
#include <string_view>

namespace carat::cli {

// True while Enter should go on to another line: the text ends with a backslash, or begins with """ and has no """ at its end yet.
bool message_goes_on(std::string_view typed);
// What is meant by a typed text: the inside of a """ block, without the line breaks next to the marks; a backslash before a line break is no part of the text.
std::string typed_message(std::string_view typed);

// The place in the line above (direction -1) or below (+1) as far from its start as `at` is in its own, or the end of a shorter line. Empty: there is no such line.
std::optional<size_t> place_above_or_below(std::wstring_view text, size_t at, int direction);

}  // namespace carat::cli
