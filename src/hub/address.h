#pragma once
// Which network addresses a redirect may lead to.
#include <string>

struct sockaddr;

namespace carat::hub {

// Whether an address belongs to the public network: not this machine, not a private, link-local, shared, documentation, multicast or reserved range,
// also not as an IPv4 address inside an IPv6 one. Families other than IPv4 and IPv6 are not public.
bool is_public_address(const sockaddr& address);
// "192.0.2.7", "[::1]" or "::1": an address in numbers; false for any other text. `is_public` as above.
bool parse_address(const std::string& host, bool& is_public);

}  // namespace carat::hub
