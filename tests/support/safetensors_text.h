#pragma once
// A safetensors file of a few tensors, as bytes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace carat {

struct SafetensorsPart {
  std::string dtype;  // as the format spells it
  std::vector<int64_t> shape;
  std::string data;
};
using SafetensorsParts = std::map<std::string, SafetensorsPart>;

inline std::string safetensors_text(const SafetensorsParts& parts) {
  std::string header = "{", data;
  for (const auto& [name, part] : parts) {
    header += fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", header.size() > 1 ? "," : "", name, part.dtype,
                          fmt::join(part.shape, ","), data.size(), data.size() + part.data.size());
    data += part.data;
  }
  header += "}";
  const uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + data;
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace carat
