#pragma once
// Reads JSON from front to back without building a tree: a safetensors header of 100 MB costs no memory beyond its text.
// Strict: RFC 8259, and every error is Error{corrupt} with the file's name and the byte.
#include <cstdint>
#include <string>
#include <string_view>

namespace carat {

class JsonCursor {
 public:
  // text must be UTF-8 (checked here) and outlive the cursor; `where` goes in front of every message.
  JsonCursor(std::string_view text, std::string where);

  // Calls on_member(key) for each member; it must read exactly the value.
  template <typename F>
  void object(F on_member) {
    expect('{', "an object");
    if (accept('}')) return;
    do {
      const std::string key = string();
      expect(':', "a colon");
      on_member(key);
    } while (accept(','));
    expect('}', "a comma or the end of the object");
  }
  // Calls on_element() for each element; it must read exactly the value.
  template <typename F>
  void array(F on_element) {
    expect('[', "an array");
    if (accept(']')) return;
    do on_element();
    while (accept(','));
    expect(']', "a comma or the end of the array");
  }
  std::string string();
  // A whole number of 0..2^64-1, without sign, fraction or exponent.
  uint64_t count();
  // Any value, nested at most `depth` deep.
  void skip(int depth);
  // Only white space may be left.
  void end();

  [[noreturn]] void wrong(std::string_view expected) const;

 private:
  void expect(char c, std::string_view what);
  bool accept(char c);
  void space();
  void escape(std::string& out);
  uint32_t hex4();
  void skip_number();

  std::string_view text_;
  std::string where_;
  size_t pos_ = 0;
};

}  // namespace carat
