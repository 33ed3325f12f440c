#include "base/utf8.h"

namespace carat {
namespace {
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
}

Utf8Char utf8_decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t b = byte(0);
  if (b < 0x80) return {b, 1, false};
  int length = 0;
  uint8_t low = 0x80, high = 0xBF;  // range of the second byte: shuts out overlongs, surrogates, > U+10FFFF
  uint32_t code = 0;
  if (b >= 0xC2 && b <= 0xDF) {
    length = 2, code = b & 0x1F;
  } else if (b >= 0xE0 && b <= 0xEF) {
    length = 3, code = b & 0x0F;
    if (b == 0xE0) low = 0xA0;
    if (b == 0xED) high = 0x9F;
  } else if (b >= 0xF0 && b <= 0xF4) {
    length = 4, code = b & 0x07;
    if (b == 0xF0) low = 0x90;
    if (b == 0xF4) high = 0x8F;
  } else {
    return {};
  }
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) >= text.size()) return {0, 0, true};
    const uint8_t c = byte(static_cast<size_t>(i));
    if (c < low || c > high) return {};
    low = 0x80, high = 0xBF;
    code = code << 6 | (c & 0x3F);
  }
  return {code, length, false};
}

bool utf8_valid(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    if (c.length == 0) return false;
    text.remove_prefix(static_cast<size_t>(c.length));
  }
  return true;
}

void utf8_append(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t b) { out.push_back(static_cast<char>(b)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

void Utf8Stream::push(std::string_view bytes, std::string& out) {
  std::string joined;
  if (!pending_.empty()) {
    joined = std::move(pending_);
    joined += bytes;
    pending_.clear();
    bytes = joined;
  }
  while (!bytes.empty()) {
    const Utf8Char c = utf8_decode(bytes);
    if (c.incomplete) {
      pending_ = bytes;
      return;
    }
    if (c.length == 0) {
      out += kReplacement;
      bytes.remove_prefix(1);
    } else {
      out += bytes.substr(0, static_cast<size_t>(c.length));
      bytes.remove_prefix(static_cast<size_t>(c.length));
    }
  }
}

void Utf8Stream::flush(std::string& out) {
  for (size_t i = 0; i < pending_.size(); ++i) out += kReplacement;
  pending_.clear();
}

}  // namespace carat
