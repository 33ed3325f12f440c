#pragma once
// What Python does to text and prints of values: Gemma's templates are written against Python's Jinja, and models were trained on what that gave.
#include <string>
#include <string_view>

#include "base/json.h"

namespace carat {

// str.strip(): Unicode's white space, and U+001C..U+001F. A view of `text`, which is UTF-8.
std::string_view py_strip(std::string_view text);

// str.lower(), character by character (a capital sigma at a word's end is no exception). For sorting names without regard to case.
std::string py_lower(std::string_view text);

// repr() of a finite float: 3.14, 15000000000.0, 1e-07.
std::string py_float(double value);

// str() of a value as json.loads() would give it: None, True, 42, text as it is, ['a', 1], {'k': None}. Characters of a string within a list that Unicode
// does not call printable are shown as they are, except control characters.
std::string py_str(const Json& value);

}  // namespace carat
