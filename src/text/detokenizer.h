#pragma once
// Token ids to text, one at a time, never splitting a character. Holds back at most 3 bytes.
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "text/tokenizer.h"

namespace carat {

class Detokenizer {
 public:
  // special: control tokens give their literal text instead of nothing.
  explicit Detokenizer(const Tokenizer& tokenizer, bool special = false) : tokenizer_(tokenizer), special_(special) {}
  std::string push(TokenId id);  // text that became complete with this token, valid UTF-8, possibly empty
  std::string flush();           // what is left at the end: one U+FFFD a byte

 private:
  const Tokenizer& tokenizer_;
  bool special_;
  Utf8Stream stream_;
};

// Finds the user's stop strings across token borders; the one that is complete first ends the text (the longest of those that end together). Everything that could be the beginning of one is held back.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);
  struct Result {
    std::string text;      // safe to show
    bool stopped = false;  // a stop string was met: text ends just before it
  };
  Result push(std::string_view text);
  std::string flush();  // the held-back text, when generation ends for another reason

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace carat
