#include "formats/quantisation_name.h"

#include "base/error.h"
#include "base/json.h"
#include "formats/checkpoint.h"
#include "formats/printable.h"

namespace carat {
namespace {

const Json* member(const Json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

void append(std::string& out, const Json* text) {
  if (text == nullptr || !text->is_string()) return;
  const std::string quoted = printable(text->get<std::string>());
  if (!out.empty()) out += ' ';
  out.append(quoted, 1, quoted.size() - 2);  // without the quotes
}

}  // namespace

std::string quantisation_name(const Checkpoint& checkpoint) {
  std::string name;
  try {
    if (const auto text = checkpoint.side_file("config.json")) {
      const Json config = parse_json(*text, "config.json");
      const Json* q = member(config, "quantization_config");
      if (const Json* inner = member(config, "text_config"); q == nullptr && inner != nullptr) q = member(*inner, "quantization_config");
      if (q != nullptr)
        for (const char* key : {"quant_method", "format", "quant_algo"}) append(name, member(*q, key));
    }
    if (!name.empty()) return name;
    if (const auto text = checkpoint.side_file("hf_quant_config.json")) {
      const Json config = parse_json(*text, "hf_quant_config.json");
      if (const Json* producer = member(config, "producer")) append(name, member(*producer, "name"));
      if (const Json* q = member(config, "quantization")) append(name, member(*q, "quant_algo"));
    }
  } catch (const Error&) {  // who needs the config says what is wrong with it
    return {};
  }
  return name;
}

}  // namespace carat
