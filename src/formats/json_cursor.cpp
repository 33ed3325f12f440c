#include "formats/json_cursor.h"

#include <simdjson.h>

#include "base/error.h"

namespace carat {

JsonCursor::JsonCursor(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {
  if (!simdjson::validate_utf8(text.data(), text.size())) fail(ErrorCode::corrupt, "{}: not valid UTF-8; the file is damaged", where_);
}

void JsonCursor::wrong(std::string_view expected) const {
  fail(ErrorCode::corrupt, "{}: not the JSON that is needed: {} expected at byte {}; the file is damaged", where_, expected, pos_);
}

void JsonCursor::space() {
  while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\n' || text_[pos_] == '\r' || text_[pos_] == '\t')) ++pos_;
}

bool JsonCursor::accept(char c) {
  space();
  if (pos_ >= text_.size() || text_[pos_] != c) return false;
  ++pos_;
  return true;
}

void JsonCursor::expect(char c, std::string_view what) {
  if (!accept(c)) wrong(what);
}

void JsonCursor::end() {
  space();
  if (pos_ != text_.size()) wrong("nothing more");
}

uint32_t JsonCursor::hex4() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++pos_) {
    const char c = pos_ < text_.size() ? text_[pos_] : '\0';
    value <<= 4;
    if (c >= '0' && c <= '9')
      value += static_cast<uint32_t>(c - '0');
    else if (c >= 'a' && c <= 'f')
      value += static_cast<uint32_t>(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F')
      value += static_cast<uint32_t>(c - 'A' + 10);
    else
      wrong("four hexadecimal digits");
  }
  return value;
}

// Behind a backslash.
void JsonCursor::escape(std::string& out) {
  const char c = pos_ < text_.size() ? text_[pos_++] : '\0';
  switch (c) {
    case '"':
    case '\\':
    case '/': out += c; return;
    case 'b': out += '\b'; return;
    case 'f': out += '\f'; return;
    case 'n': out += '\n'; return;
    case 'r': out += '\r'; return;
    case 't': out += '\t'; return;
    case 'u': break;
    default: wrong("an escape of JSON");
  }
  uint32_t point = hex4();
  if (point >= 0xD800 && point < 0xDC00) {
    if (text_.substr(pos_, 2) != "\\u") wrong("the second half of a surrogate pair");
    pos_ += 2;
    const uint32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) wrong("the second half of a surrogate pair");
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
  } else if (point >= 0xDC00 && point <= 0xDFFF) {
    wrong("the first half of a surrogate pair");
  }
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    out += static_cast<char>(0x80 | (point & 63));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | (point >> 12));
    out += static_cast<char>(0x80 | ((point >> 6) & 63));
    out += static_cast<char>(0x80 | (point & 63));
  } else {
    out += static_cast<char>(0xF0 | (point >> 18));
    out += static_cast<char>(0x80 | ((point >> 12) & 63));
    out += static_cast<char>(0x80 | ((point >> 6) & 63));
    out += static_cast<char>(0x80 | (point & 63));
  }
}

std::string JsonCursor::string() {
  expect('"', "a string");
  std::string out;
  for (;;) {
    const size_t from = pos_;
    while (pos_ < text_.size() && text_[pos_] != '"' && text_[pos_] != '\\' && static_cast<unsigned char>(text_[pos_]) >= 0x20) ++pos_;
    out.append(text_.substr(from, pos_ - from));
    if (pos_ >= text_.size() || static_cast<unsigned char>(text_[pos_]) < 0x20) wrong("the end of a string");
    if (text_[pos_++] == '"') return out;
    escape(out);
  }
}

uint64_t JsonCursor::count() {
  space();
  const size_t from = pos_;
  uint64_t value = 0;
  for (; pos_ < text_.size() && text_[pos_] >= '0' && text_[pos_] <= '9'; ++pos_)
    if (__builtin_mul_overflow(value, uint64_t{10}, &value) || __builtin_add_overflow(value, static_cast<uint64_t>(text_[pos_] - '0'), &value))
      wrong("a number below 2^64");
  if (pos_ == from || (pos_ - from > 1 && text_[from] == '0')) wrong("a whole number");
  if (pos_ < text_.size() && (text_[pos_] == '.' || text_[pos_] == 'e' || text_[pos_] == 'E')) wrong("a whole number");
  return value;
}

void JsonCursor::skip_number() {
  const auto digits = [&] {
    const size_t from = pos_;
    while (pos_ < text_.size() && text_[pos_] >= '0' && text_[pos_] <= '9') ++pos_;
    if (pos_ == from) wrong("a value");
    return pos_ - from;
  };
  const auto is = [&](char c) { return pos_ < text_.size() && text_[pos_] == c; };
  if (is('-')) ++pos_;
  const bool zero = is('0');
  if (digits() > 1 && zero) wrong("a number without leading zeros");
  if (is('.')) ++pos_, digits();
  if (is('e') || is('E')) {
    ++pos_;
    if (is('+') || is('-')) ++pos_;
    digits();
  }
}

void JsonCursor::skip(int depth) {
  if (depth < 0) wrong("less nesting");
  space();
  const char c = pos_ < text_.size() ? text_[pos_] : '\0';
  if (c == '{') return object([&](const std::string&) { skip(depth - 1); });
  if (c == '[') return array([&] { skip(depth - 1); });
  if (c == '"') return static_cast<void>(string());
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(pos_, word.size()) != word) continue;
    pos_ += word.size();
    return;
  }
  skip_number();
}

}  // namespace carat
