#include "hub/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace carat::hub {
namespace {

struct Range4 {
  uint32_t first;
  int bits;
};

// The registries of special-purpose addresses (RFC 6890 and its successors), and multicast.
constexpr std::array<Range4, 16> kNotPublic4 = {{
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared by carriers
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local; the metadata services of clouds
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // protocol assignments
    {0xc0000200, 24},  // documentation
    {0xc0586300, 24},  // 6to4 relays
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarks
    {0xc6336400, 24},  // documentation
    {0xcb007100, 24},  // documentation
    {0xe0000000, 4},   // multicast
    {0xf0000000, 4},   // reserved, broadcast
    {0xffffffff, 32},
}};

bool is_public4(uint32_t address) {
  for (const Range4& range : kNotPublic4) {
    if ((address ^ range.first) >> (32 - range.bits) == 0) return false;
  }
  return true;
}

bool is_public6(const in6_addr& address) {
  const unsigned char* b = address.s6_addr;
  const auto ipv4 = [b](int at) {
    return static_cast<uint32_t>(b[at]) << 24 | static_cast<uint32_t>(b[at + 1]) << 16 | static_cast<uint32_t>(b[at + 2]) << 8 |
           static_cast<uint32_t>(b[at + 3]);
  };
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr unsigned char kTranslated[12] = {0, 0x64, 0xff, 0x9b};
  if (std::memcmp(b, kMapped, 12) == 0 || std::memcmp(b, kTranslated, 12) == 0) return is_public4(ipv4(12));
  if (b[0] == 0x20 && b[1] == 0x02) return is_public4(ipv4(2));                                    // 6to4
  if ((b[0] & 0xe0) != 0x20) return false;                                                         // global unicast is 2000::/3
  if (b[0] == 0x20 && b[1] == 0x01 && (b[2] < 2 || (b[2] == 0x0d && b[3] == 0xb8))) return false;  // protocol assignments (Teredo too), documentation
  return !(b[0] == 0x3f && b[1] == 0xff);                                                          // documentation
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return is_public4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    return is_public6(v6.sin6_addr);
  }
  return false;
}

bool parse_address(const std::string& host, bool& is_public) {
  const std::string bare = host.size() > 2 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
  in_addr v4;
  in6_addr v6;
  if (::inet_pton(AF_INET, bare.c_str(), &v4) == 1) {
    is_public = is_public4(ntohl(v4.s_addr));
    return true;
  }
  if (::inet_pton(AF_INET6, bare.c_str(), &v6) == 1) {
    is_public = is_public6(v6);
    return true;
  }
  return false;
}

}  // namespace carat::hub
