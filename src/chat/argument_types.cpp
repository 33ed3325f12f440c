#include "chat/argument_types.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "chat/call_parser.h"

namespace carat {
namespace {

// Members of a tool's JSON by name. Schemas and calls are both long when somebody means it, so no object is searched from its front.
class MemberIndex {
 public:
  const Json* find(const Json& object, std::string_view key) {
    if (!object.is_object()) return nullptr;
    const auto& members = object.get_ref<const Json::object_t&>();
    if (members.size() <= kShort) {
      const auto it = std::find_if(members.begin(), members.end(), [&](const auto& member) { return member.first == key; });
      return it == members.end() ? nullptr : &it->second;
    }
    const auto [entry, added] = indexes_.try_emplace(&object);
    if (added) {
      for (const auto& member : members) entry->second.emplace(member.first, &member.second);
    }
    const auto it = entry->second.find(key);
    return it == entry->second.end() ? nullptr : it->second;
  }

 private:
  static constexpr size_t kShort = 8;
  std::unordered_map<const Json*, std::unordered_map<std::string_view, const Json*>> indexes_;
};

enum Type : unsigned { kString = 1, kInteger = 2, kNumber = 4, kBoolean = 8, kNull = 16, kArray = 32, kObject = 64 };

unsigned type_named(const Json& name) {
  if (!name.is_string()) return 0;
  std::string lower = name.get<std::string>();
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;  // Gemma's own declarations shout
  static constexpr std::pair<std::string_view, unsigned> kTypes[] = {{"string", kString}, {"integer", kInteger}, {"number", kNumber}, {"boolean", kBoolean},
                                                                     {"null", kNull},     {"array", kArray},     {"object", kObject}};
  for (const auto& [text, type] : kTypes) {
    if (lower == text) return type;
  }
  return 0;
}

bool is_whole(double value) { return std::trunc(value) == value; }

// The types that a value is of without any change.
unsigned types_of(const Json& value) {
  if (value.is_string()) return kString;
  if (value.is_number_float()) return kNumber | (is_whole(value.get<double>()) && std::abs(value.get<double>()) >= 0x1p63 ? kInteger : 0U);
  if (value.is_number()) return kInteger | kNumber;
  if (value.is_boolean()) return kBoolean;
  if (value.is_null()) return kNull;
  return value.is_array() ? kArray : kObject;
}

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x | 0x20 : x) == y; });
}

// A number where `types` want one: 3.0 is 3 for an integer. nullopt: it is not wanted, or 3.5 where an integer is.
std::optional<Json> as_number(const Json& number, unsigned types) {
  if ((types & types_of(number)) != 0) return number;
  if ((types & kInteger) != 0 && number.is_number_float() && is_whole(number.get<double>())) return Json(static_cast<int64_t>(number.get<double>()));
  return std::nullopt;
}

enum class Fit : uint8_t { exact, converted, none };

struct Typed {
  std::optional<Json> value;  // none: as to_json() gives it
  Fit fit = Fit::exact;
};

class Converter {
 public:
  Converter(MemberIndex& index, const Json& root, size_t steps) : index_(index), root_(root), steps_(steps) {}

  // schema may be null. depth: of arrays and objects around the value; hops: schemas passed through without a step into the value.
  Typed convert(const CallValue& value, const Json* schema, int depth, int hops) {
    if (!schema || hops > kMaxHops || !spend(1 + value.text.size() / kBytesAStep)) return {};
    if (schema->is_boolean()) return {{}, schema->get<bool>() ? Fit::exact : Fit::none};
    if (!schema->is_object()) return {};
    if (const Json* ref = index_.find(*schema, "$ref")) return convert(value, resolve(*ref), depth, hops + 1);
    const bool scalar = value.kind == CallValue::Kind::string || value.kind == CallValue::Kind::bare;
    const Json* allowed = index_.find(*schema, "enum");
    const Json* constant = index_.find(*schema, "const");
    if (scalar && allowed && allowed->is_array()) {
      if (Typed word = one_of(value, allowed->begin(), allowed->end()); word.value) return word;
    }
    if (scalar && constant) {
      if (Typed word = one_of(value, constant, constant + 1); word.value) return word;
    }
    const unsigned types = types_in(*schema);
    if (types == 0) {
      for (const char* word : {"anyOf", "oneOf", "allOf"}) {
        if (const Json* branches = index_.find(*schema, word); branches && branches->is_array()) return best_of(value, *branches, depth, hops);
      }
      return {};
    }
    if (value.kind == CallValue::Kind::array) return (types & kArray) != 0 ? array(value, *schema, depth) : Typed{{}, Fit::none};
    if (value.kind == CallValue::Kind::object) return (types & kObject) != 0 ? object(value, *schema, depth) : Typed{{}, Fit::none};
    Typed typed = convert_scalar(value, types, depth);
    if (allowed || constant) typed.fit = Fit::none;  // it is none of those
    return typed;
  }

 private:
  static constexpr int kMaxHops = 32;
  static constexpr size_t kBytesAStep = 64;

  bool spend(size_t steps) {
    const bool enough = steps <= steps_;
    steps_ = enough ? steps_ - steps : 0;
    return enough;
  }

  // "#", "#/$defs/NAME" and the like.
  const Json* resolve(const Json& ref) {
    if (!ref.is_string()) return nullptr;
    std::string_view path = ref.get_ref<const std::string&>();
    if (path.empty() || path[0] != '#') return nullptr;
    path.remove_prefix(1);
    const Json* at = &root_;
    while (at && !path.empty()) {
      if (path[0] != '/' || !spend(1)) return nullptr;
      path.remove_prefix(1);
      std::string name(path.substr(0, path.find('/')));
      path.remove_prefix(name.size());
      for (const auto& [escape, c] : {std::pair("~1", "/"), std::pair("~0", "~")}) {
        for (size_t i = 0; (i = name.find(escape, i)) != std::string::npos; ++i) name.replace(i, 2, c);
      }
      at = index_.find(*at, name);
    }
    return at;
  }

  unsigned types_in(const Json& schema) {
    unsigned types = 0;
    const Json* type = index_.find(schema, "type");
    if (type && type->is_array()) {
      if (!spend(type->size())) return 0;
      for (const Json& name : *type) types |= type_named(name);
    } else if (type) {
      types = type_named(*type);
    } else {
      if (index_.find(schema, "properties")) types |= kObject;
      if (index_.find(schema, "items") || index_.find(schema, "prefixItems")) types |= kArray;
    }
    const Json* nullable = index_.find(schema, "nullable");
    if (types != 0 && nullable && nullable->is_boolean() && nullable->get<bool>()) types |= kNull;
    return types;
  }

  // The entry that a scalar says, as itself or by its text.
  template <typename Iterator>
  Typed one_of(const CallValue& value, Iterator begin, Iterator end) {
    if (!spend(static_cast<size_t>(end - begin))) return {{}, Fit::none};
    const Json natural = to_json(value);
    for (auto entry = begin; entry != end; ++entry) {
      if (*entry == natural) return {*entry, Fit::exact};
    }
    const Json word = bare_word(value.text);
    for (auto entry = begin; entry != end; ++entry) {
      const bool same = entry->is_string() ? entry->template get_ref<const std::string&>() == value.text : *entry == word;
      if (same) return {*entry, Fit::converted};
    }
    return {{}, Fit::none};
  }

  // The branch that fits best, the first among equals.
  Typed best_of(const CallValue& value, const Json& branches, int depth, int hops) {
    Typed best{{}, Fit::none};
    for (const Json& branch : branches) {
      Typed typed = convert(value, &branch, depth, hops + 1);
      if (typed.fit < best.fit || (!best.value && typed.value && typed.fit == best.fit)) best = std::move(typed);
      if (best.fit == Fit::exact || steps_ == 0) break;
    }
    return best;
  }

  Typed convert_scalar(const CallValue& value, unsigned types, int depth) {
    Json natural = to_json(value);
    if ((types & types_of(natural)) != 0) return {std::move(natural), Fit::exact};
    if (natural.is_number()) {
      if (auto number = as_number(natural, types)) return {std::move(number), Fit::converted};
    }
    if (!natural.is_string()) {  // null stays null: it says that nothing is given, not a word
      if ((types & kString) != 0 && !natural.is_null()) return {Json(std::string(value.text)), Fit::converted};
      return {std::move(natural), Fit::none};
    }
    const std::string_view text = trim(value.text);
    if (const auto number = json_number(text)) {
      if (auto wanted = as_number(*number, types)) return {std::move(wanted), Fit::converted};
    }
    if ((types & kBoolean) != 0) {
      for (const bool truth : {true, false}) {
        if (equals_ignoring_case(text, truth ? "true" : "false")) return {Json(truth), Fit::converted};
      }
    }
    if ((types & kNull) != 0 && (text == "null" || text == "None")) return {Json(nullptr), Fit::converted};
    if (((types & kObject) != 0 && text.starts_with('{')) || ((types & kArray) != 0 && text.starts_with('['))) {
      try {
        const int levels = std::max(1, kMaxCallDepth - depth);
        return {parse_json(text, "an argument", {.max_bytes = text.size(), .max_depth = levels}), Fit::converted};
      } catch (const Error&) {  // a text that only begins like JSON
      }
    }
    return {std::move(natural), Fit::none};
  }

  Typed array(const CallValue& value, const Json& schema, int depth) {
    const Json* first = index_.find(schema, "prefixItems");
    const Json* rest = index_.find(schema, "items");
    Typed out{Json::array(), Fit::exact};
    for (size_t i = 0; i < value.items.size(); ++i) {
      const bool own = first && first->is_array() && i < first->size();
      out.value->push_back(inner(value.items[i], own ? &(*first)[i] : rest, depth, out.fit));
    }
    return out;
  }

  Typed object(const CallValue& value, const Json& schema, int depth) {
    const Json* properties = index_.find(schema, "properties");
    const Json* others = index_.find(schema, "additionalProperties");
    Typed out{Json::object(), Fit::exact};
    const std::vector<const CallValue*> members = distinct_members(value);
    for (const CallValue* member : members) {
      const Json* own = properties ? index_.find(*properties, member->key) : nullptr;
      append_member(*out.value, member->key, inner(*member, own ? own : others, depth, out.fit));
    }
    if (const Json* required = index_.find(schema, "required"); required && required->is_array() && spend(required->size() + members.size())) {
      std::unordered_set<std::string_view> keys;
      for (const CallValue* member : members) keys.insert(member->key);
      for (const Json& name : *required) {
        if (name.is_string() && !keys.contains(name.get_ref<const std::string&>())) out.fit = Fit::none;
      }
    }
    return out;
  }
  Json inner(const CallValue& value, const Json* schema, int depth, Fit& fit) {
    Typed typed = convert(value, schema, depth + 1, 0);
    fit = std::max(fit, typed.fit);
    return typed.value ? *std::move(typed.value) : to_json(value);
  }

  MemberIndex& index_;
  const Json& root_;
  size_t steps_;
};

}  // namespace

struct ArgumentTypes::Tools {
  explicit Tools(Json tools) : json(std::move(tools)) {
    if (!json.is_array()) return;
    for (const Json& tool : json) {
      const Json* function = index.find(tool, "function");
      const Json* name = function ? index.find(*function, "name") : nullptr;
      const Json* parameters = function ? index.find(*function, "parameters") : nullptr;
      if (name && name->is_string() && parameters && parameters->is_object()) schemas.emplace(name->get_ref<const std::string&>(), parameters);
    }
  }
  Json json;
  MemberIndex index;
  std::unordered_map<std::string_view, const Json*> schemas;  // by the tool's name
};

ArgumentTypes::ArgumentTypes(Json tools) : tools_(std::make_unique<Tools>(std::move(tools))) {}
ArgumentTypes::~ArgumentTypes() = default;
ArgumentTypes::ArgumentTypes(ArgumentTypes&&) noexcept = default;

Json ArgumentTypes::typed(std::string_view tool, const CallValue& arguments, size_t call_bytes) {
  constexpr size_t kSteps = 20000, kStepsAByte = 16;
  const auto schema = tools_->schemas.find(tool);
  if (schema == tools_->schemas.end()) return to_json(arguments);
  Typed typed = Converter(tools_->index, *schema->second, kSteps + kStepsAByte * call_bytes).convert(arguments, schema->second, 0, 0);
  return typed.value && typed.value->is_object() ? *std::move(typed.value) : to_json(arguments);
}

}  // namespace carat
