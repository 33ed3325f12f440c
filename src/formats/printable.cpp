#include "formats/printable.h"

#include <fmt/format.h>

namespace carat {

std::string printable(std::string_view name) {
  constexpr size_t kMost = 80;
  std::string out = "'";
  for (const char c : name.substr(0, kMost)) {
    if (c >= 0x20 && c < 0x7F && c != '\'' && c != '\\')
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  if (name.size() > kMost) out += "...";
  return out + "'";
}

}  // namespace carat
