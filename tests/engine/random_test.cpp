#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "engine/hash_table.h"

namespace carat {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}), (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformNumbersAreUniform) {
  constexpr int kBins = 64, kDraws = 64 * 2000;
  std::vector<int> bins(kBins);
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random_uniform(12345, static_cast<uint64_t>(i));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<size_t>(u * kBins)];
    sum += u;
  }
  double chi = 0;
  for (const int n : bins) chi += (n - 2000.0) * (n - 2000.0) / 2000.0;
  EXPECT_LT(chi, 63 + 6 * std::sqrt(2.0 * 63));
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
}

TEST(Philox, SeedAndIndexBothMatterInFull) {
  std::set<uint64_t> seen;
  for (int bit = 0; bit < 64; ++bit) {
    seen.insert(random_u64(uint64_t{1} << bit, 0));
    seen.insert(random_u64(0, uint64_t{1} << bit));
  }
  EXPECT_EQ(seen.size(), 128u);
}

std::string hex(const Hash128& h) {
  std::string out;
  for (const uint64_t word : {h.lo, h.hi}) {
    for (int i = 0; i < 8; ++i) {
      const auto byte = static_cast<unsigned>(word >> (8 * i)) & 0xff;
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
  return out;
}

// Vectors of the reference implementation (key 00..0f, message 00 01 02 ...).
TEST(SipHash, GivesThePublishedAnswers) {
  const Hash128 key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::vector<std::byte> message;
  const auto hash_of = [&](size_t n) {
    message.clear();
    for (size_t i = 0; i < n; ++i) message.push_back(static_cast<std::byte>(i));
    return hex(siphash128(key, message));
  };
  EXPECT_EQ(hash_of(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hash_of(1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(hash_of(2), "8177228da4a45dc7fca38bdef60affe4");
}

TEST(HashTable, BehavesLikeAMap) {
  HashTable table(4);
  std::unordered_map<uint64_t, int32_t> model;
  for (uint64_t i = 0; i < 20000; ++i) {
    const uint64_t k = random_u64(7, i) % 512;
    const Hash128 key{k % 61, k};  // many keys at one home
    const auto it = model.find(k);
    ASSERT_EQ(table.find(key), it == model.end() ? -1 : it->second);
    if (random_u64(8, i) % 2 == 0) {
      table.erase(key);
      model.erase(k);
    } else if (it == model.end()) {
      table.insert(key, static_cast<int32_t>(i));
      model[k] = static_cast<int32_t>(i);
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

}  // namespace
}  // namespace carat
