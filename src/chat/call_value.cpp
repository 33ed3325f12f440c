#include "chat/call_value.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

namespace carat {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether all of `text` is a number by JSON's grammar; `integer`: without fraction and exponent.
bool is_number(std::string_view text, bool& integer) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - begin;
  };
  integer = true;
  if (i < text.size() && text[i] == '-') ++i;
  const bool zero = i < text.size() && text[i] == '0';
  const size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (i < text.size() && text[i] == '.') {
    integer = false, ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    integer = false, ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

template <typename T>
std::optional<Json> read(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return Json(value);
}

}  // namespace

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<Json> json_number(std::string_view text) {
  bool integer = false;
  if (!is_number(text, integer)) return std::nullopt;
  if (integer) {
    if (auto value = text[0] == '-' ? read<int64_t>(text) : read<uint64_t>(text)) return value;
  }
  return read<double>(text);
}

Json bare_word(std::string_view text) {
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  if (text == "null" || text == "None") return nullptr;
  if (auto number = json_number(text)) return *std::move(number);
  return std::string(text);
}

std::vector<const CallValue*> distinct_members(const CallValue& object) {
  std::vector<const CallValue*> members;
  members.reserve(object.items.size());
  for (const CallValue& item : object.items) members.push_back(&item);
  // Alike keys beside each other, in the order given (the items are one array, so the address is the order).
  std::vector<const CallValue*> sorted = members;
  std::sort(sorted.begin(), sorted.end(), [](const CallValue* a, const CallValue* b) { return std::pair(a->key, a) < std::pair(b->key, b); });
  for (size_t i = 0; i < sorted.size();) {
    size_t last = i;
    while (last + 1 < sorted.size() && sorted[last + 1]->key == sorted[i]->key) ++last;
    const auto place = [&](const CallValue* v) -> const CallValue*& { return members[static_cast<size_t>(v - object.items.data())]; };
    for (size_t k = i; k <= last; ++k) place(sorted[k]) = k == i ? sorted[last] : nullptr;
    i = last + 1;
  }
  std::erase(members, nullptr);
  return members;
}

void append_member(Json& object, std::string_view key, Json value) {
  using Members = Json::object_t;
  object.get_ref<Members&>().std::vector<Members::value_type>::emplace_back(std::string(key), std::move(value));
}

Json to_json(const CallValue& value) {
  switch (value.kind) {
    case CallValue::Kind::string: return std::string(value.text);
    case CallValue::Kind::bare: return bare_word(value.text);
    case CallValue::Kind::array: {
      Json array = Json::array();
      for (const CallValue& item : value.items) array.push_back(to_json(item));
      return array;
    }
    case CallValue::Kind::object: break;
  }
  Json object = Json::object();
  for (const CallValue* member : distinct_members(value)) append_member(object, member->key, to_json(*member));
  return object;
}

}  // namespace carat
