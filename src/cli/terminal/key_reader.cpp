#include "cli/terminal/key_reader.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/utf8.h"

namespace carat::cli {
namespace {

constexpr std::string_view kPasteBegin = "\x1b[200~", kPasteEnd = "\x1b[201~";
constexpr char kCtrlC = '\x03', kEscape = '\x1b';
constexpr int kForever = -1;
constexpr int kSequenceMs = 40;  // a terminal sends a sequence at once; a person does not type one that fast

bool is_enter(char c) { return c == '\r' || c == '\n'; }

}  // namespace

std::string pasted_text(std::string_view bytes) {
  std::string valid, text;
  Utf8Stream stream;
  stream.push(bytes, valid);
  stream.flush(valid);
  for (size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    const auto byte = static_cast<unsigned char>(c);
    if (is_enter(c)) {
      // CR LF, which a terminal that swaps the two hands over as LF CR, is one line break.
      if (i + 1 < valid.size() && is_enter(valid[i + 1]) && valid[i + 1] != c) ++i;
      text += '\n';
    } else if (c == '\t' || (byte >= 0x20 && byte != 0x7f)) {
      // U+0080..U+009F (C2 80..C2 9F) are control characters too.
      const bool c1 = byte == 0xc2 && i + 1 < valid.size() && static_cast<unsigned char>(valid[i + 1]) < 0xa0;
      if (c1) {
        ++i;
      } else {
        text += c;
      }
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

KeyReader::Wait KeyReader::fill(int timeout_ms, int wake_fd) {
  pollfd descriptors[2] = {{fd_, POLLIN, 0}, {wake_fd, POLLIN, 0}};  // poll() passes over negative descriptors
  for (;;) {
    const int n = ::poll(descriptors, 2, timeout_ms);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Wait::end;
    if (n == 0) return Wait::timeout;
    if (descriptors[1].revents != 0) return Wait::wake;
    char bytes[4096];
    const ssize_t got = ::read(fd_, bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return Wait::end;
    pending_.append(bytes, static_cast<size_t>(got));
    return Wait::ready;
  }
}

bool KeyReader::have(size_t n, int timeout_ms) {
  while (pending_.size() < n) {
    if (fill(timeout_ms) != Wait::ready) return false;
  }
  return true;
}

Key KeyReader::next(int wake_fd) {
  if (pending_.empty()) {
    switch (fill(kForever, wake_fd)) {
      case Wait::wake: return {.kind = Key::Kind::wake, .code = 0, .text = {}};
      case Wait::end: return {.kind = Key::Kind::end, .code = 0, .text = {}};
      case Wait::ready:
      case Wait::timeout: break;
    }
  }
  const char first = pending_.front();
  if (first == kEscape) {
    for (size_t n = 2; n <= kPasteBegin.size() && have(n, kSequenceMs) && kPasteBegin.starts_with(pending_.substr(0, n)); ++n) {
      if (n == kPasteBegin.size()) return paste();
    }
    if (pending_.size() > 1 && is_enter(pending_[1])) {
      pending_.erase(0, 2);
      return {.kind = Key::Kind::newline, .code = 0, .text = {}};
    }
  }
  if (first == kCtrlC || is_enter(first)) {
    pending_.erase(0, 1);
    return {.kind = first == kCtrlC ? Key::Kind::interrupt : Key::Kind::enter, .code = 0, .text = {}};
  }
  return character();
}

bool KeyReader::take_interrupt() {
  constexpr size_t kLookAhead = size_t{1} << 16;
  while (pending_.size() < kLookAhead && fill(0) == Wait::ready) {}
  const size_t at = pending_.rfind(kCtrlC);
  if (at == std::string::npos) return false;
  pending_.erase(0, at + 1);
  return true;
}

void KeyReader::forget() {
  ::tcflush(fd_, TCIFLUSH);
  pending_.clear();
}

Key KeyReader::character() {
  Utf8Char c = utf8_decode(pending_);
  while (c.incomplete && have(pending_.size() + 1, kSequenceMs)) c = utf8_decode(pending_);
  pending_.erase(0, static_cast<size_t>(std::max(1, c.length)));
  return {.kind = Key::Kind::character, .code = c.length == 0 ? 0xfffd : c.code, .text = {}};
}

// Up to the end mark. A terminal takes control characters out of what is pasted: Ctrl-C here is a person whose terminal never sends the mark.
Key KeyReader::paste() {
  pending_.erase(0, kPasteBegin.size());
  std::string bytes;
  for (;;) {
    const size_t end = pending_.find(kPasteEnd);
    const size_t stop = std::min(end, pending_.find(kCtrlC));
    if (stop != std::string::npos) {
      bytes += pending_.substr(0, stop);
      pending_.erase(0, stop + (stop == end ? kPasteEnd.size() : 1));
      break;
    }
    // The mark may be cut: its beginning stays.
    const size_t keep = std::min(pending_.size(), kPasteEnd.size() - 1);
    bytes += pending_.substr(0, pending_.size() - keep);
    pending_.erase(0, pending_.size() - keep);
    if (bytes.size() > kMaxPasteBytes) bytes.resize(kMaxPasteBytes);
    if (fill(kForever) == Wait::end) {
      bytes += std::exchange(pending_, {});
      break;
    }
  }
  if (bytes.size() > kMaxPasteBytes) bytes.resize(kMaxPasteBytes);
  return {.kind = Key::Kind::paste, .code = 0, .text = pasted_text(bytes)};
}

}  // namespace carat::cli
