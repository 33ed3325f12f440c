// Which words of a schema are said, and in which order, follows the templates to the letter, their oddities included: a model has seen nothing else.
#include "chat/gemma4_tools.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "chat/gemma4_values.h"
#include "chat/python_text.h"

namespace carat::gemma4 {
namespace {

// A member of what may be no object at all, like Jinja's value['key']. null: undefined.
const Json* get(const Json& value, std::string_view key) {
  if (!value.is_object()) return nullptr;
  const auto it = value.find(key);
  return it == value.end() ? nullptr : &*it;
}

// Python's bool().
bool truth(const Json* value) {
  if (value == nullptr || value->is_null()) return false;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number()) return value->get<double>() != 0;
  return value->is_string() ? !value->get_ref<const std::string&>().empty() : !value->empty();
}

class Declaration {
 public:
  Declaration(PromptWriter& out, Gemma4Revision revision, const std::string& where) : out_(out), revision_(revision), where_(where) {}

  void write(const Json& function) {
    out_.text("declaration:");
    out_.text(function["name"].get_ref<const std::string&>());
    out_.text("{description:");
    write_string(out_, function.contains("description") ? function["description"].get_ref<const std::string&>() : "");
    if (const Json* parameters = get(function, "parameters"); truth(parameters)) write_parameters(*parameters);
    if (const Json* response = get(function, "response")) {
      out_.text(",response:{");
      if (const Json* description = get(*response, "description"); truth(description)) {
        out_.text("description:");
        write_string(out_, py_str(*description));
        out_.text(",");
      }
      // Anything but an object leaves the brace open, as the templates do.
      if (upper(get(*response, "type")) == "OBJECT") write_type("OBJECT");
    }
    out_.text("}");
  }

 private:
  bool old() const { return revision_ <= Gemma4Revision::interleaved; }

  // value | upper
  std::string upper(const Json* value) const {
    if (value == nullptr) return "";
    std::string text = py_str(*value);
    for (char& c : text) {
      if (static_cast<unsigned char>(c) >= 0x80)
        fail(ErrorCode::invalid_argument, "a type holds other than ASCII letters, {}, give one of JSON Schema's", where_);
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    }
    return text;
  }

  void write_type(std::string_view type) {
    out_.text("type:");
    write_string(out_, type);
    out_.text("}");
  }

  void write_required(const Json& names) {
    if (!names.is_array()) fail(ErrorCode::invalid_argument, "required is no list of names, {}, write \"required\": [\"...\"]", where_);
    out_.text("required:[");
    for (size_t i = 0; i < names.size(); ++i) {
      if (i > 0) out_.text(",");
      write_string(out_, py_str(names[i]));
    }
    out_.text("]");
  }

  void write_parameters(const Json& parameters) {
    out_.text(",parameters:{");
    if (const Json* properties = get(parameters, "properties"); truth(properties)) {
      if (!properties->is_object()) fail(ErrorCode::invalid_argument, "properties are no object, {}, write \"properties\": {{...}}", where_);
      out_.text("properties:{");
      write_properties(*properties, old() || revision_ == Gemma4Revision::spring);
      out_.text("},");
    }
    if (const Json* required = get(parameters, "required"); truth(required)) {
      write_required(*required);
      out_.text(",");
    }
    if (const Json* type = get(parameters, "type"); truth(type)) write_type(upper(type));
  }

  // schema_words: members named like words of a schema are left out.
  void write_properties(const Json& properties, bool schema_words) {
    constexpr std::array<std::string_view, 5> words = {"description", "type", "properties", "required", "nullable"};
    bool first = true;
    for (const auto& [name, value] : sorted_members(properties)) {
      if (schema_words && std::find(words.begin(), words.end(), *name) != words.end()) continue;
      if (!first) out_.text(",");
      first = false;
      out_.text(*name);
      out_.text(":{");
      if (old()) {
        write_old_property(*value);
      } else {
        write_property(*value);
      }
    }
  }

  // A comma before all but the first.
  void next(bool& any) {
    if (any) out_.text(",");
    any = true;
  }

  bool write_description(const Json& value) {
    const Json* description = get(value, "description");
    if (!truth(description)) return false;
    out_.text("description:");
    write_string(out_, py_str(*description));
    return true;
  }

  void write_property(const Json& value) {
    bool any = write_description(value);
    const std::string type = upper(get(value, "type"));
    if (type == "STRING") write_enum(value, any);
    if (const Json* items = get(value, "items"); type == "ARRAY" && items != nullptr && items->is_object() && !items->empty()) {
      next(any);
      write_items(*items);
    }
    write_nullable(value, any);
    if (type == "OBJECT") {
      next(any);
      write_nested(value);
      if (const Json* required = get(value, "required"); truth(required)) {
        next(any);
        write_required(*required);
      }
    }
    next(any);
    write_type(type);
  }

  // The first two revisions: another order, and commas that come whether or not something is in front of them.
  void write_old_property(const Json& value) {
    bool any = write_description(value);
    const std::string type = upper(get(value, "type"));
    write_nullable(value, any);
    if (type == "STRING") {
      write_enum(value, any);
    } else if (type == "OBJECT") {
      out_.text(",");
      write_nested(value);
      if (const Json* required = get(value, "required"); truth(required)) {
        out_.text(",");
        write_required(*required);
      }
    } else if (const Json* items = get(value, "items"); type == "ARRAY" && items != nullptr && items->is_object() && !items->empty()) {
      out_.text(",");
      write_items(*items);
    }
    next(any);
    write_type(type);
  }

  void write_enum(const Json& value, bool& any) {
    const Json* words = get(value, "enum");
    if (!truth(words)) return;
    next(any);
    out_.text("enum:");
    write(*words, Keys::quoted);
  }

  void write_nullable(const Json& value, bool& any) {
    if (!truth(get(value, "nullable"))) return;
    next(any);
    out_.text("nullable:true");
  }

  void write_nested(const Json& value) {
    out_.text("properties:{");
    if (const Json* properties = get(value, "properties"); properties != nullptr && properties->is_object()) {
      write_properties(*properties, revision_ != Gemma4Revision::canonical);
    } else {
      write_properties(value, true);  // a schema without properties: its other words go as if they were some
    }
    out_.text("}");
  }

  void write_items(const Json& items) {
    out_.text("items:{");
    bool any = false;
    for (const auto& [name, value] : sorted_members(items)) {
      if (value->is_null()) continue;
      next(any);
      if (*name == "properties") {
        out_.text("properties:{");
        if (value->is_object()) write_properties(*value, revision_ != Gemma4Revision::canonical);
        out_.text("}");
      } else if (*name == "required") {
        write_required(*value);
      } else if (*name == "type") {
        out_.text("type:");
        write_item_type(*value);
      } else {
        out_.text(*name);
        out_.text(":");
        write(*value, Keys::quoted);
      }
    }
    out_.text("}");
  }

  void write_item_type(const Json& type) {
    if (type.is_string()) return write_string(out_, upper(&type));
    if (!type.is_array()) fail(ErrorCode::invalid_argument, "the type of items is neither a name nor a list of names, {}, give one of JSON Schema's", where_);
    Json types = Json::array();
    for (const Json& each : type) types.push_back(upper(&each));
    write(types, Keys::quoted);
  }

  void write(const Json& value, Keys keys) { write_value(out_, value, revision_ == Gemma4Revision::canonical ? Null::as_null : Null::as_none, keys); }

  PromptWriter& out_;
  Gemma4Revision revision_;
  const std::string& where_;
};

}  // namespace

void write_declaration(PromptWriter& out, const Json& function, Gemma4Revision revision, const std::string& where) {
  Declaration(out, revision, where).write(function);
}

}  // namespace carat::gemma4
