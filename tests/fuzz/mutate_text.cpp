#include <algorithm>
#include <cctype>
#include <cstring>

#include "fuzz/mutate.h"

namespace carat::fuzz {

std::string odd_string(Rng& rng) {
  static const std::string kOdd[] = {"",
                                     " ",
                                     "  ",
                                     "<0x-1>",
                                     "<0x>",
                                     "<0xG0>",
                                     "<0x100>",
                                     "<0xFF>",
                                     "<0x00>",
                                     "<0xff>",
                                     "<bos>",
                                     "<eos>",
                                     "<unk>",
                                     "<pad>",
                                     "\xe2\x96\x81",
                                     "\xe2\x96",
                                     "\xff\xfe",
                                     std::string(1, '\0'),
                                     std::string("a\0b", 3),
                                     "\xed\xa0\x80",
                                     "\xf4\x90\x80\x80",
                                     "a b c",
                                     " a",
                                     "a ",
                                     "../../etc/passwd",
                                     "/",
                                     "..",
                                     "model.safetensors",
                                     "gemma3",
                                     "gemma4",
                                     "llama",
                                     "BPE",
                                     "%s%n",
                                     "{{ a }}",
                                     "\n\r\t",
                                     "F32",
                                     "BF16",
                                     "F64",
                                     "U8",
                                     "-1",
                                     "NaN",
                                     "1e999"};
  switch (rng.below(6)) {
    case 0: return std::string(rng.below(70000), static_cast<char>(rng.next()));
    case 1: {
      std::string s(rng.below(20), '\0');
      for (char& c : s) c = static_cast<char>(rng.next());
      return s;
    }
    default: return rng.pick(kOdd);
  }
}

void mutate_blindly(std::string& bytes, size_t reach, Rng& rng) {
  reach = std::min(reach, bytes.size());
  for (size_t n = size_t{1} << rng.below(5); n > 0 && reach > 0; --n) {
    const size_t at = rng.below(reach);
    switch (rng.below(8)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.below(8))); break;
      case 1: bytes[at] = static_cast<char>(rng.next()); break;
      case 2: bytes[at] = static_cast<char>(rng.chance(2) ? 0xFF : 0); break;
      case 3: {
        const uint64_t v = odd_number(rng, 0, bytes.size());
        std::memcpy(bytes.data() + at, &v, std::min<size_t>(bytes.size() - at, size_t{1} << rng.below(4)));
        break;
      }
      case 4: {
        const size_t from = rng.below(reach), count = std::min({rng.below(64), reach - from, reach - at});
        std::memmove(bytes.data() + at, bytes.data() + from, count);
        break;
      }
      case 5: bytes.insert(at, odd_string(rng)); break;
      case 6: bytes.erase(at, rng.below(32)); break;
      default: std::swap(bytes[at], bytes[rng.below(reach)]); break;
    }
    reach = std::min(reach, bytes.size());
  }
  if (rng.chance(20)) bytes.resize(rng.below(bytes.size() + 1));
}

namespace {

struct Token {
  size_t pos = 0;
  size_t size = 0;
  char kind = ' ';  // s string, n number, w word, or the sign itself
};

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> out;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    size_t end = i + 1;
    char kind = c;
    if (c == '"') {
      kind = 's';
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
    } else if (c == '-' || std::isdigit(static_cast<unsigned char>(c)) != 0) {
      kind = 'n';
      while (end < text.size() && std::strchr("0123456789+-.eE", text[end]) != nullptr && text[end] != '\0') ++end;
    } else if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      kind = 'w';
      while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
    }
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') out.push_back({i, end - i, kind});
    i = end;
  }
  return out;
}

std::string odd_json_number(Rng& rng, std::string_view old) {
  static const std::string kOdd[] = {"-1", "1e308", "1e999", "-0", "0.5", "1.5e3", "18446744073709551616", "99999999999999999999999999", "NaN", "01"};
  if (rng.chance(3)) return rng.pick(kOdd);
  uint64_t value = 0;
  for (const char c : old.substr(0, 18))
    if (c >= '0' && c <= '9') value = value * 10 + static_cast<uint64_t>(c - '0');
  return std::to_string(rng.chance(4) ? static_cast<uint64_t>(static_cast<int64_t>(odd_number(rng, value, 1000))) : odd_number(rng, value, 1000));
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string odd_json_value(Rng& rng) {
  static const std::string kOdd[] = {"null", "true", "{}", "[]", "0", "-1", "\"\"", "[[]]", "{\"a\":{}}", "[1,2,3]", "\"\\ud800\"", "\"\\u0000\"", "1e5"};
  if (rng.chance(10)) {
    const size_t depth = size_t{1} << rng.below(18);
    return rng.chance(2) ? std::string(depth, '[') + std::string(depth, ']') : std::string(depth, '[');
  }
  return rng.chance(3) ? quoted(odd_string(rng)) : rng.pick(kOdd);
}

// Where the value that begins with token `first` ends, as a token index.
size_t value_end(const std::vector<Token>& tokens, size_t first) {
  int depth = 0;
  for (size_t i = first; i < tokens.size(); ++i) {
    if (tokens[i].kind == '{' || tokens[i].kind == '[') ++depth;
    if (tokens[i].kind == '}' || tokens[i].kind == ']') --depth;
    if (depth <= 0) return i + 1;
  }
  return tokens.size();
}

}  // namespace

std::string mutate_json(std::string_view good, Rng& rng) {
  std::string text(good);
  for (size_t n = 1 + rng.below(3); n > 0; --n) {
    const std::vector<Token> tokens = tokens_of(text);
    if (tokens.empty()) return text;
    const size_t i = rng.below(tokens.size());
    // From a drawn place on, the first token of a drawn kind: small kinds are met as often as large ones.
    const auto next = [&](const char* kinds) {
      for (size_t k = 0; k < tokens.size(); ++k)
        if (std::strchr(kinds, tokens[(i + k) % tokens.size()].kind) != nullptr) return (i + k) % tokens.size();
      return i;
    };
    switch (rng.below(9)) {
      case 0:
      case 1: {
        const Token t = tokens[next("n")];
        text.replace(t.pos, t.size, odd_json_number(rng, std::string_view(text).substr(t.pos, t.size)));
        break;
      }
      case 2: {
        const Token t = tokens[next("s")];
        text.replace(t.pos, t.size, quoted(odd_string(rng)));
        break;
      }
      case 3: {  // a whole value becomes another one
        const size_t first = next("{[snw"), last = value_end(tokens, first) - 1;
        text.replace(tokens[first].pos, tokens[last].pos + tokens[last].size - tokens[first].pos, odd_json_value(rng));
        break;
      }
      case 4: {  // a value or member is repeated or lost, with its comma
        const size_t first = next("s"), last = std::min(tokens.size() - 1, first + rng.below(12));
        const size_t begin = tokens[first].pos, end = tokens[last].pos + tokens[last].size;
        if (rng.chance(2))
          text.erase(begin, end - begin);
        else
          text.insert(begin, text.substr(begin, end - begin) + (rng.chance(2) ? "," : ""));
        break;
      }
      case 5: text.erase(tokens[i].pos, tokens[i].size); break;
      case 6: {  // one string in place of another: two names alike, a dtype for a name
        const Token a = tokens[next("s")], b = tokens[rng.below(tokens.size())];
        text.replace(a.pos, a.size, text.substr(b.pos, b.size));
        break;
      }
      case 7: mutate_blindly(text, text.size(), rng); break;
      default: text.insert(tokens[i].pos, odd_json_value(rng)); break;
    }
    if (text.size() > (good.size() + 1) * 4) break;
  }
  return text;
}

std::string mutate_safetensors(std::string_view good, Rng& rng) {
  uint64_t length = 0;
  std::memcpy(&length, good.data(), 8);
  std::string header(good.substr(8, length)), data(good.substr(8 + length));
  uint64_t said = length;
  switch (rng.below(8)) {
    case 0: said = odd_number(rng, length, good.size()); break;
    case 1: data.resize(rng.chance(2) ? rng.below(data.size() + 1) : data.size() + rng.below(100)); break;
    case 2: mutate_blindly(header, header.size(), rng); break;
    default: header = mutate_json(header, rng); break;
  }
  if (said == length && !rng.chance(10)) said = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &said, 8);
  return out + header + data;
}

}  // namespace carat::fuzz
