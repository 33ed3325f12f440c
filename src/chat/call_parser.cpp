#include "chat/call_parser.h"

#include <optional>
#include <utility>

#include "base/utf8.h"
#include "chat/message.h"

namespace carat {
namespace {

using Outcome = ParsedCall::Outcome;
constexpr std::string_view kIntroduction = "call:";

std::optional<uint32_t> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  uint32_t code = 0;
  for (const char c : text.substr(0, 4)) {
    const char lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') {
      code = code * 16 + static_cast<uint32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      code = code * 16 + static_cast<uint32_t>(lower - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return code;
}

// The inside of a JSON string. What is no escape stays as it is ("C:\dir"); half a surrogate pair becomes U+FFFD.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (const char c = text[++i]) {
      case '"':
      case '\\':
      case '/': out += c; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        auto code = hex4(text.substr(i + 1));
        if (!code) {
          out += "\\u";
          break;
        }
        i += 4;
        if (*code >= 0xD800 && *code < 0xDC00 && text.substr(i + 1, 2) == "\\u") {
          const auto low = hex4(text.substr(i + 3));
          if (low && *low >= 0xDC00 && *low < 0xE000) {
            code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
            i += 6;
          }
        }
        utf8_append(*code >= 0xD800 && *code < 0xE000 ? 0xFFFD : *code, out);
        break;
      }
      default: out += '\\', out += c;
    }
  }
  return out;
}

class Reader {
 public:
  Reader(const CallText& call, ParsedCall& out) : text_(call.text), marks_(call.marks), out_(out) {}

  Outcome read() {
    const bool ok = introduction() && object(out_.arguments, 1);
    if (!ok) return outcome_;
    skip_space();
    return ended() ? Outcome::whole : Outcome::malformed;
  }

 private:
  bool at_mark() const { return mark_ < marks_.size() && marks_[mark_] == at_; }
  bool ended() const { return at_ == text_.size() && !at_mark(); }
  bool at(char c) const { return at_ < text_.size() && !at_mark() && text_[at_] == c; }
  // Where the text without markers ends that begins here.
  size_t plain_end() const { return mark_ < marks_.size() ? marks_[mark_] : text_.size(); }
  void skip_space() {
    for (const size_t end = plain_end(); at_ < end && is_space(text_[at_]);) ++at_;
  }
  // What was expected is not here: for want of text, or something else is.
  bool fail() {
    outcome_ = ended() ? Outcome::cut : Outcome::malformed;
    return false;
  }
  // The first of `stops` from here on; false: the text or its part without markers ends before, which is a failure.
  bool find(std::string_view stops, size_t& end) {
    const size_t limit = plain_end();
    end = text_.substr(0, limit).find_first_of(stops, at_);
    if (end != std::string_view::npos) return true;
    at_ = limit;
    return fail();
  }

  bool introduction() {
    skip_space();
    const std::string_view rest = text_.substr(at_, plain_end() - at_);
    if (!rest.starts_with(kIntroduction)) {
      if (kIntroduction.starts_with(rest)) at_ += rest.size();
      return fail();
    }
    at_ += kIntroduction.size();
    size_t end = 0;
    if (!find("{", end)) return false;
    out_.name = trim(text_.substr(at_, end - at_));
    at_ = end;
    return can_be_called(out_.name) || fail();  // what no tool can be named could not be said again in the next prompt either
  }

  bool value(CallValue& out, int depth) {
    skip_space();
    if (at_mark()) {
      out.kind = CallValue::Kind::string;
      return marked(out.text);
    }
    if (at('{')) return object(out, depth + 1);
    if (at('[')) return array(out, depth + 1);
    if (at('"')) {
      if (const auto end = quoted_end()) {
        const size_t quote = at_;
        at_ = *end + 1;
        skip_space();
        if (ended() || at(',') || at(']') || at('}')) {
          out.kind = CallValue::Kind::string;
          out.text = unescaped(quote + 1, *end);
          return true;
        }
        at_ = quote;  // "a" or "b": a word that begins with a quote
      } else {
        at_ = plain_end();
        return fail();
      }
    }
    size_t end = 0;
    if (!find(",]}", end)) return false;
    out.kind = CallValue::Kind::bare;
    out.text = trim(text_.substr(at_, end - at_));
    at_ = end;
    return !out.text.empty() || fail();
  }

  // A string between two markers.
  bool marked(std::string_view& out) {
    const size_t begin = at_;
    ++mark_;
    if (mark_ == marks_.size()) {
      at_ = text_.size();
      return fail();
    }
    at_ = marks_[mark_++];
    out = text_.substr(begin, at_ - begin);
    return true;
  }

  // Where the JSON string that begins here ends: its closing quote.
  std::optional<size_t> quoted_end() const {
    const size_t limit = plain_end();
    for (size_t i = at_ + 1; i < limit; ++i) {
      if (text_[i] == '"') return i;
      if (text_[i] == '\\') ++i;
    }
    return std::nullopt;
  }
  std::string_view unescaped(size_t begin, size_t end) {
    const std::string_view text = text_.substr(begin, end - begin);
    if (text.find('\\') == std::string_view::npos) return text;
    return out_.unescaped.emplace_back(unescape(text));
  }

  bool key(std::string_view& out) {
    if (at_mark()) {
      if (!marked(out)) return false;
      out = trim(out);
      skip_space();
      return at(':') || fail();
    }
    if (at('"')) {
      const size_t quote = at_;
      if (const auto end = quoted_end()) {
        at_ = *end + 1;
        skip_space();
        if (at(':')) {
          out = unescaped(quote + 1, *end);
          return true;
        }
        at_ = quote;
      }
    }
    size_t end = 0;
    if (!find(":}", end)) return false;
    if (text_[end] == '}') {
      at_ = end;
      return fail();
    }
    out = trim(text_.substr(at_, end - at_));
    at_ = end;
    return true;
  }

  // What stands between brackets: parts with commas, one of which may be too many at the end.
  template <typename Part>
  bool list(char close, int depth, Part&& part) {
    ++at_;
    if (depth > kMaxCallDepth) {
      outcome_ = Outcome::malformed;
      return false;
    }
    for (skip_space(); !at(close); skip_space()) {
      if (!part()) return false;
      skip_space();
      if (at(close)) break;
      if (!at(',')) return fail();
      ++at_;
    }
    ++at_;
    return true;
  }
  bool array(CallValue& out, int depth) {
    out.kind = CallValue::Kind::array;
    return list(']', depth, [&] { return value(out.items.emplace_back(), depth); });
  }
  bool object(CallValue& out, int depth) {
    out.kind = CallValue::Kind::object;
    return list('}', depth, [&] {
      CallValue& member = out.items.emplace_back();
      if (!key(member.key)) return false;
      ++at_;
      return value(member, depth);
    });
  }

  std::string_view text_;
  const std::vector<size_t>& marks_;
  ParsedCall& out_;
  size_t at_ = 0, mark_ = 0;  // the next byte, the next marker
  Outcome outcome_ = Outcome::malformed;
};

}  // namespace

std::string CallText::with_markers(std::string_view marker) const {
  std::string out;
  size_t at = 0;
  for (const size_t mark : marks) {
    out.append(text, at, mark - at);
    out += marker;
    at = mark;
  }
  return out.append(text, at, std::string::npos);
}

ParsedCall parse_call(const CallText& call) {
  ParsedCall out;
  out.outcome = Reader(call, out).read();
  return out;
}

}  // namespace carat
