#pragma once
// Names taken from files, made fit for a one-line message.
#include <string>
#include <string_view>

namespace carat {

// In quotes; control and non-ASCII bytes as \xNN; cut after 80 bytes.
std::string printable(std::string_view name);

}  // namespace carat
