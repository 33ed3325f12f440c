#include "hub/proxy.h"

#include <cstdlib>
#include <initializer_list>

namespace carat::hub {
namespace {

std::string first_set(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "";
}

bool is_excepted(std::string_view host) {
  const std::string list = first_set({"no_proxy", "NO_PROXY"});
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find_first_of(", ", begin), list.size());
    std::string_view entry = std::string_view(list).substr(begin, end - begin);
    begin = end + 1;
    if (entry == "*") return true;
    if (entry.starts_with('.')) entry.remove_prefix(1);
    if (entry.empty() || !host.ends_with(entry)) continue;
    if (host.size() == entry.size() || host[host.size() - entry.size() - 1] == '.') return true;
  }
  return false;
}

}  // namespace

std::string proxy_for(std::string_view scheme, std::string_view host) {
  if (is_excepted(host)) return "";
  if (std::string own = scheme == "https" ? first_set({"https_proxy", "HTTPS_PROXY"}) : first_set({"http_proxy"}); !own.empty()) return own;
  return first_set({"all_proxy", "ALL_PROXY"});
}

}  // namespace carat::hub
