#pragma once
// The arguments of calls as JSON, typed by the schemas of the tools: `zip:1234` is "1234" where a string is wanted, `<|"|>3<|"|>` is 3 where an integer is.
// Nothing is lost and nothing fails: what does not fit stays as it was written, whoever runs the tool can tell.
#include <memory>
#include <string_view>

#include "base/json.h"
#include "chat/call_value.h"

namespace carat {

class ArgumentTypes {
 public:
  // As tools_from_json() returns them; null: none. Only what types are made of is looked at: type, nullable, enum, const, properties, additionalProperties,
  // required, items, prefixItems, anyOf, oneOf, allOf, and $ref within the same schema.
  explicit ArgumentTypes(Json tools);
  ~ArgumentTypes();
  ArgumentTypes(ArgumentTypes&&) noexcept;

  // An object. arguments: an object. call_bytes: how long the call was; time is bounded by it, whatever the schema (beyond that, values stay as written).
  Json typed(std::string_view tool, const CallValue& arguments, size_t call_bytes);

 private:
  struct Tools;
  std::unique_ptr<Tools> tools_;
};

}  // namespace carat
