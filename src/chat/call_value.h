#pragma once
// A value in the syntax of Gemma 4's calls, before it is known what the tool wants it to be: scalars keep the text they were written as.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace carat {

struct CallValue {
  enum class Kind : uint8_t {
    string,  // between two string markers, or a JSON string; text: what it says
    bare,    // a number, true, false, null, or a word without quotes; text: as written, trimmed
    array,
    object,
  };
  Kind kind = Kind::bare;
  std::string_view text;
  std::string_view key;          // of a member of an object
  std::vector<CallValue> items;  // of an array or object, in the order given; a key may be there twice
};

// Every key once: where it stood first, with the value given last. Time is O(n log n).
std::vector<const CallValue*> distinct_members(const CallValue& object);

// The value as the syntax alone says it: bare words are numbers, true, false, null (also True, False, None), else strings.
Json to_json(const CallValue& value);
// An object of these members, which must be distinct; no look-up for each.
void append_member(Json& object, std::string_view key, Json value);

// `text` as JSON writes numbers, all of it. Integers of 64 bits are exact, longer ones become the nearest double. nullopt: no number, or beyond every double.
std::optional<Json> json_number(std::string_view text);
// The value that a bare word stands for.
Json bare_word(std::string_view text);

// ASCII white space, as between the parts of a call.
inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
std::string_view trim(std::string_view text);

}  // namespace carat
