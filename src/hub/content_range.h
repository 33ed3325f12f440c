#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "hub/range_set.h"

namespace carat::hub {

// "bytes 0-99/1000": the range, and the size of the whole (0: "*"). nullopt for anything else, also for a range that is empty or reaches beyond the whole.
struct ContentRange {
  ByteRange range;
  uint64_t size = 0;
};
std::optional<ContentRange> parse_content_range(std::string_view text);
// A number in digits only; nullopt for anything else.
std::optional<uint64_t> parse_number(std::string_view text);

}  // namespace carat::hub
