#pragma once
// Bytes of a terminal to keys: characters, pasted text as one, Enter, Ctrl-C. Escape sequences of other keys come through as their characters.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace carat::cli {

struct Key {
  enum class Kind : uint8_t {
    character,  // code: U+0001..U+10FFFF; U+FFFD for a byte that is no UTF-8
    enter,
    newline,    // Alt-Enter: a line break within the text
    paste,      // text: valid UTF-8, line breaks as \n, no other control characters but tabs
    interrupt,  // Ctrl-C
    wake,       // the other descriptor is readable
    end,        // nothing more comes: hung up, or an error
  };
  Kind kind = Kind::character;
  uint32_t code = 0;
  std::string text;
};

class KeyReader {
 public:
  static constexpr size_t kMaxPasteBytes = size_t{4} << 20;  // of a longer paste the rest is dropped

  // Where Ctrl-C is a byte, not a signal, and Enter may be CR or LF.
  explicit KeyReader(int fd) : fd_(fd) {}

  // Waits for a key, or for wake_fd (-1: none) to become readable; that one is only looked at.
  Key next(int wake_fd);
  // Whether Ctrl-C is among what was typed ahead; it and what came before it are dropped. Does not wait.
  bool take_interrupt();
  // What was typed ahead is dropped.
  void forget();

 private:
  enum class Wait : uint8_t { ready, wake, timeout, end };
  Wait fill(int timeout_ms, int wake_fd = -1);
  bool have(size_t n, int timeout_ms);
  Key paste();
  Key character();

  int fd_;
  std::string pending_;
};

// Pasted bytes as the text of a message; see Key::paste.
std::string pasted_text(std::string_view bytes);

}  // namespace carat::cli
