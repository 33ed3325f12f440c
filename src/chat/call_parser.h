#pragma once
// The text of one tool call, `call:NAME{key:value,...}`, to its name and arguments. The grammar is in docs/guide/parse.md.
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "chat/call_value.h"

namespace carat {

// What stood between the markers of a call. The string marker (one token) takes no bytes of the text, so that no text can forge or hide one.
struct CallText {
  std::string text;           // UTF-8
  std::vector<size_t> marks;  // where string markers stood: before this byte of the text; ascending, an empty string has its two at one place

  void clear() { text.clear(), marks.clear(); }
  std::string with_markers(std::string_view marker) const;  // the text as the model wrote it
};

inline constexpr int kMaxCallDepth = 64;  // nested arrays and objects, the arguments themselves included

struct ParsedCall {
  enum class Outcome : uint8_t {
    whole,
    cut,        // could have become a call, but the text ends too early
    malformed,  // no call, whatever follows
  };
  Outcome outcome = Outcome::malformed;
  std::string_view name;              // trimmed, can_be_called()
  CallValue arguments;                // an object
  std::deque<std::string> unescaped;  // owns the strings that are not as written; the other views look into the CallText
};

// Total: never throws on any text. Time is linear. `call` outlives the result's views.
ParsedCall parse_call(const CallText& call);

}  // namespace carat
