#include "chat/gemma4_values.h"

#include <algorithm>

#include "chat/python_text.h"

namespace carat::gemma4 {

std::vector<std::pair<const std::string*, const Json*>> sorted_members(const Json& object) {
  struct Member {
    std::string order;
    const std::string* name;
    const Json* value;
  };
  std::vector<Member> members;
  for (const auto& member : object.get_ref<const Json::object_t&>()) members.push_back({py_lower(member.first), &member.first, &member.second});
  std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.order < b.order; });
  std::vector<std::pair<const std::string*, const Json*>> out;
  for (const Member& member : members) out.emplace_back(member.name, member.value);
  return out;
}

std::string strip_thinking(std::string_view text) {
  constexpr std::string_view open = "<|channel>", close = "<channel|>";
  std::string out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(close, at), text.size());
    const std::string_view part = text.substr(at, end - at);
    out += part.substr(0, part.find(open));
    at = end + close.size();
  }
  return std::string(py_strip(out));
}

void write_string(PromptWriter& out, std::string_view text) {
  out.control(kQuote);
  out.text(text);
  out.control(kQuote);
}

void write_members(PromptWriter& out, const Json& object, Null null, Keys keys) {
  bool first = true;
  for (const auto& [name, value] : sorted_members(object)) {
    if (!first) out.text(",");
    first = false;
    if (keys == Keys::quoted) {
      write_string(out, *name);
    } else {
      out.text(*name);
    }
    out.text(":");
    write_value(out, *value, null, keys);
  }
}

void write_value(PromptWriter& out, const Json& value, Null null, Keys keys) {
  if (value.is_string()) {
    write_string(out, value.get_ref<const std::string&>());
  } else if (value.is_boolean()) {
    out.text(value.get<bool>() ? "true" : "false");
  } else if (value.is_object()) {
    out.text("{");
    write_members(out, value, null, keys);
    out.text("}");
  } else if (value.is_array()) {
    out.text("[");
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out.text(",");
      write_value(out, value[i], null, keys);
    }
    out.text("]");
  } else if (value.is_null()) {
    out.text(null == Null::as_null ? "null" : "None");
  } else {
    out.text(py_str(value));
  }
}

}  // namespace carat::gemma4
