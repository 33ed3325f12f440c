#include "hub/digest.h"

#include <algorithm>

namespace carat::hub {
namespace {

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

bool is_etag(std::string_view text) { return (text.size() == 64 || text.size() == 40) && is_hex(text); }
bool is_commit(std::string_view text) { return text.size() == 40 && is_hex(text); }

}  // namespace carat::hub
