#pragma once
// UTF-8: strict decoding (no overlongs, no surrogates, nothing above U+10FFFF).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace carat {

struct Utf8Char {
  uint32_t code = 0;
  int length = 0;           // bytes; 0: the bytes here are not a character
  bool incomplete = false;  // length 0, but the bytes so far could still become one
};

// The character at the front of a non-empty text.
Utf8Char utf8_decode(std::string_view text);
bool utf8_valid(std::string_view text);
void utf8_append(uint32_t code, std::string& out);

// Bytes in pieces to valid UTF-8: what is complete comes out, up to 3 bytes wait, a byte that cannot belong to a character becomes U+FFFD.
class Utf8Stream {
 public:
  void push(std::string_view bytes, std::string& out);
  void flush(std::string& out);  // one U+FFFD for every waiting byte
  bool waiting() const { return !pending_.empty(); }

 private:
  std::string pending_;
};

}  // namespace carat
