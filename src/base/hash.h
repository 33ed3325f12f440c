#pragma once
// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein): a keyed hash. Who does not know the key cannot make two contents collide,
// so that a match of hashes may stand for a match of contents.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace carat {

struct Hash128 {
  uint64_t lo = 0;
  uint64_t hi = 0;
  bool operator==(const Hash128&) const = default;
};

inline Hash128 siphash128(const Hash128& key, std::span<const std::byte> bytes) {
  uint64_t v0 = 0x736f6d6570736575u ^ key.lo, v1 = 0x646f72616e646f6du ^ key.hi ^ 0xee, v2 = 0x6c7967656e657261u ^ key.lo, v3 = 0x7465646279746573u ^ key.hi;
  const auto rotate = [](uint64_t x, int n) { return (x << n) | (x >> (64 - n)); };
  const auto rounds = [&](int n) {
    for (; n > 0; --n) {
      v0 += v1, v1 = rotate(v1, 13) ^ v0, v0 = rotate(v0, 32);
      v2 += v3, v3 = rotate(v3, 16) ^ v2;
      v0 += v3, v3 = rotate(v3, 21) ^ v0;
      v2 += v1, v1 = rotate(v1, 17) ^ v2, v2 = rotate(v2, 32);
    }
  };
  const auto absorb = [&](uint64_t m) {
    v3 ^= m;
    rounds(2);
    v0 ^= m;
  };
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t m;
    std::memcpy(&m, bytes.data() + i, 8);
    absorb(m);
  }
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t j = 0; i + j < bytes.size(); ++j) last |= static_cast<uint64_t>(bytes[i + j]) << (8 * j);
  absorb(last);
  v2 ^= 0xee;
  rounds(4);
  Hash128 h;
  h.lo = v0 ^ v1 ^ v2 ^ v3;
  v1 ^= 0xdd;
  rounds(4);
  h.hi = v0 ^ v1 ^ v2 ^ v3;
  return h;
}

}  // namespace carat
