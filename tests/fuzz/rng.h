#pragma once
// Small numbers drawn for mutations: the same on every machine for the same seed and case.
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace carat::fuzz {

class Rng {
 public:
  Rng(uint64_t seed, uint64_t number) : state_(seed * 0x9E3779B97F4A7C15u + number * 0xD1B54A32D192ED03u + 1) {}
  uint64_t next() {  // splitmix64
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  size_t below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(next() % n); }
  bool chance(size_t one_in) { return below(one_in) == 0; }
  template <typename Container>
  auto& pick(Container& c) {
    return c[below(std::size(c))];
  }

 private:
  uint64_t state_;
};

// A number that programs get wrong: edges of the widths, off by one, near `old`, near `size`.
inline uint64_t odd_number(Rng& rng, uint64_t old, uint64_t size) {
  switch (rng.below(12)) {
    case 0: return 0;
    case 1: return old + 1;
    case 2: return old - 1;
    case 3: return UINT64_MAX - rng.below(64);
    case 4: return uint64_t{1} << rng.below(64);
    case 5: return (uint64_t{1} << rng.below(64)) - 1;
    case 6: return old * (2 + rng.below(100));
    case 7: return old / (2 + rng.below(8));
    case 8: return size - rng.below(64);
    case 9: return rng.below(static_cast<size_t>(size) + 1);
    case 10: return rng.below(300);
    default: return rng.next();
  }
}

}  // namespace carat::fuzz
