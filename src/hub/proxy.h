#pragma once
// Which proxy the environment names for a host.
#include <string>
#include <string_view>

namespace carat::hub {

// https_proxy, HTTPS_PROXY or http_proxy (small letters only: a web server's HTTP_PROXY is a header of its client), else all_proxy, ALL_PROXY;
// empty: none, or no_proxy, NO_PROXY name the host ("*", "host", ".domain", "domain": all below it).
std::string proxy_for(std::string_view scheme, std::string_view host);

}  // namespace carat::hub
