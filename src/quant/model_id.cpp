#include "quant/model_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <vector>

namespace carat::quant {
namespace {

constexpr size_t kLongestName = 255;  // of a file system

enum class Kind { none, version, type, size, finetune };

struct Part {
  std::string text;
  Kind kind = Kind::none;
  bool of_basename = false;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// A part of a name, read from the left; the case of letters does not count.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool at_end() const { return at_ == text_.size(); }
  bool take(std::string_view word) {
    if (text_.size() - at_ < word.size() ||
        !std::equal(word.begin(), word.end(), text_.begin() + static_cast<ptrdiff_t>(at_), [](char a, char b) { return a == lower(b); }))
      return false;
    at_ += word.size();
    return true;
  }
  bool take_one_of(std::string_view letters) {
    return std::any_of(letters.begin(), letters.end(), [&](char c) { return take({&c, 1}); });
  }
  bool digit() { return take_one_of("0123456789"); }
  bool digits() {
    const size_t from = at_;
    while (digit()) {}
    return at_ > from;
  }
  // Digits, and more of them after points.
  bool numbers() {
    if (!digits()) return false;
    while (take("."))
      if (!digits()) return false;
    return true;
  }
  // Whether the whole part is one of these words.
  bool is_one_of(std::initializer_list<std::string_view> words) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view w) { return text_.size() == w.size() && take(w); });
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// 3, 1.5, v2.0.1, iter3
bool is_version(std::string_view text) {
  Reader r(text);
  if (!r.take("v")) r.take("iter");
  return r.numbers() && r.at_end();
}

// q4_0, iq3_x_s: letters, digits and underscores one by one; fp16, bf16, f32
bool is_type(std::string_view text) {
  Reader r(text);
  r.take("i");
  if (r.take("q")) {
    if (!r.digit()) return false;
    while (r.take("_"))
      if (!r.take_one_of("abcdefghijklmnopqrstuvwxyz0123456789_")) return false;
    return r.at_end();
  }
  Reader f(text);
  f.take("b");
  if (!f.take("f")) return false;
  f.take("p");
  return (f.take("16") || f.take("32")) && f.at_end();
}

// 270m, 1.5b, 1_5b, 7b1, a4b, 8x7b, small
bool is_size(std::string_view text) {
  if (Reader(text).is_one_of({"small", "mini", "medium", "large", "xl", "xxl"})) return true;
  Reader r(text), experts(text);
  if (experts.digits() && experts.take("x"))
    r = experts;
  else
    r.take("a");
  if (!r.digits() || (r.take_one_of("._") && !r.digits()) || !r.take_one_of("kmbt")) return false;
  r.digit();
  return r.at_end();
}

// "270m" -> "270M", "7b1" -> "7.1B", "1_5b" -> "1.5B"; words stay.
std::string spelled(std::string size) {
  std::replace(size.begin(), size.end(), '_', '.');
  const size_t n = size.size();
  if (is_digit(size[n - 1])) size = size.substr(0, n - 2) + "." + size[n - 1] + size[n - 2];
  if (size.size() > 1 && is_digit(size[size.size() - 2])) size.back() = upper(size.back());
  return size;
}

// Parameters that a size names; nothing for "8x7B", "A3B", "small".
std::optional<double> parameters_in(const std::string& size) {
  if (!std::all_of(size.begin(), size.end() - 1, [](char c) { return is_digit(c) || c == '.'; })) return std::nullopt;
  const size_t power = std::string_view(" KMBT").find(size.back());
  return std::stod(size) * std::pow(1000.0, static_cast<double>(power));
}

// What a part is when looked at alone.
Part read_part(std::string text, bool first, int64_t parameters) {
  if (is_version(text)) return {std::move(text), Kind::version};
  if (is_type(text)) return {std::move(text), Kind::type};
  if (!first && is_size(text)) {
    std::string size = spelled(std::move(text));
    const std::optional<double> said = parameters_in(size);
    if (parameters == 0 || !said || std::abs(*said - static_cast<double>(parameters)) <= static_cast<double>(7 * parameters / 8))
      return {std::move(size), Kind::size};
    size.back() = lower(size.back());
    return {std::move(size), Kind::finetune};
  }
  if (!first && Reader(text).is_one_of({"chat", "instruct", "vision", "lora"})) return {std::move(text), Kind::finetune};
  return {std::move(text)};
}

std::vector<Part> read_parts(std::string_view name, int64_t parameters) {
  std::vector<Part> parts;
  while (!name.empty()) {
    const size_t end = std::min(name.find('-'), name.size());
    if (end > 0) parts.push_back(read_part(std::string(name.substr(0, end)), parts.empty(), parameters));
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  // "large" says nothing of the size beside a number.
  const auto has_digits = [](const Part& p) { return p.kind == Kind::size && std::any_of(p.text.begin(), p.text.end(), is_digit); };
  if (std::any_of(parts.begin(), parts.end(), has_digits))
    for (Part& p : parts)
      if (p.kind == Kind::size && std::all_of(p.text.begin(), p.text.end(), is_letter)) p.kind = Kind::none;
  return parts;
}

// Words and versions up to the first part of another kind are the base's name, but for versions at its end; other words after it are what was made of the base.
void find_basename(std::vector<Part>& parts) {
  size_t i = 0;
  const auto starts = [](const Part& p) { return p.kind == Kind::version || (p.kind == Kind::none && is_letter(p.text[0])); };
  for (; i < parts.size() && starts(parts[i]); ++i) parts[i].of_basename = true;
  const bool to_the_end = i == parts.size();
  for (; i < parts.size(); ++i)
    if (parts[i].kind == Kind::none) parts[i].kind = Kind::finetune;
  for (i = parts.size(); to_the_end && i > 0 && parts[i - 1].kind == Kind::version; --i) parts[i - 1].of_basename = false;
}

template <typename Wanted>
std::string joined(const std::vector<Part>& parts, Wanted wanted) {
  std::string out;
  for (const Part& p : parts)
    if (wanted(p)) out += (out.empty() ? "" : "-") + p.text;
  return out;
}

std::string rounded(double parameters) {
  constexpr struct {
    double unit;
    char letter;
  } kUnits[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}};
  double unit = 1e3;
  char letter = 'K';
  for (const auto& u : kUnits)
    if (parameters > u.unit) {
      unit = u.unit, letter = u.letter;
      break;
    }
  const double n = parameters / unit;
  const double whole = std::nearbyint(n);
  return fmt::format("{:.{}f}{}", n, whole < 1 ? 2 : whole < 10 ? 1 : 0, letter);  // two digits at least
}

}  // namespace

ModelId parse_model_id(std::string_view name, int64_t parameters) {
  if (name.size() > kLongestName || name.find(' ') != std::string_view::npos) return {};  // a name for people
  std::vector<Part> parts = read_parts(name, parameters);
  find_basename(parts);
  ModelId id;
  id.basename = joined(parts, [](const Part& p) { return p.of_basename; });
  id.finetune = joined(parts, [](const Part& p) { return p.kind == Kind::finetune; });
  id.version = joined(parts, [](const Part& p) { return p.kind == Kind::version && !p.of_basename; });
  std::vector<Part> sizes;
  for (const Part& p : parts)
    if (p.kind == Kind::size && std::none_of(sizes.begin(), sizes.end(), [&](const Part& s) { return s.text == p.text; })) sizes.push_back(p);
  id.size_label = joined(sizes, [](const Part&) { return true; });
  if (id.size_label.empty() && id.finetune.empty() && id.version.empty()) id.basename.clear();  // which of its words are the base cannot be told
  return id;
}

std::string title_of(std::string_view name) {
  std::string out;
  std::string words(name);
  std::replace(words.begin(), words.end(), '-', ' ');
  std::istringstream in(words);
  for (std::string word; in >> word;) {
    const bool lower_case = std::none_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (lower_case && !(word[0] == 'v' && is_version(word)) && !is_digit(word[0])) {
      bool start = true;
      for (char& c : word) {
        if (start) c = upper(c);
        start = !is_letter(c);
      }
    }
    out += (out.empty() ? "" : " ") + word;
  }
  return out;
}

int64_t parameters_of(std::span<const SourceTensor> tensors) {
  int64_t sum = 0;
  for (const SourceTensor& t : tensors) sum += t.rows() * t.cols();
  return sum;
}

std::string size_label_of(std::span<const SourceTensor> tensors) {
  int64_t shared = 0, of_an_expert = 0, experts = 0, stacks = 0;
  for (const SourceTensor& t : tensors) {
    const int64_t elements = t.rows() * t.cols();
    if (t.name.find("_exps.") == std::string::npos || t.shape.size() < 3) {
      shared += elements;
    } else {
      const int64_t n = t.shape[t.shape.size() - 3];
      of_an_expert += elements / n, experts += n, ++stacks;
    }
  }
  const std::string size = rounded(static_cast<double>(shared + of_an_expert));
  return stacks > 0 ? fmt::format("{}x{}", experts / stacks, size) : size;
}

}  // namespace carat::quant
