#pragma once
// JSON trees behind one header, with limits that hold for any text. For a vocabulary or another huge table use a streaming reader instead.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

namespace carat {

// Members keep their order; looking one up takes time linear in the size of its object.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{32} << 20;
  int max_depth = 128;  // nested arrays and objects
};

// The value of a whole text. Time is O(n log n). Fails with corrupt (not JSON, not UTF-8, a name given twice, too deep) or exhausted (too long);
// `what` goes in front of the message and names the source ("model/config.json").
Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

}  // namespace carat
