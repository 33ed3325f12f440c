#pragma once
// What the instruction set can do at best, for comparison with what a model gets: arithmetic out of registers, and reading memory.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/unroll.h"
#include "kernels/kernels.h"

namespace carat::kernels {

// To the compiler what p points at is used and changed here, as is all memory that others know of.
[[gnu::always_inline]] inline void forget(void* p) { asm volatile("" : : "r"(p) : "memory"); }

// As many sums as the dense kernel has, each waiting only for itself.
template <class S>
int64_t spin_f32(int64_t turns) {
  constexpr int kSums = S::kDenseRows * S::kDensePanels;
  alignas(64) float start[kSums][kLanes] = {};
  forget(start);  // or it would be seen that all sums are the same
  typename S::F32 sum[kSums];
  unroll<kSums>([&](auto i) __attribute__((always_inline)) { sum[i.value] = S::load(start[i.value]); });
  const auto a = S::set1(0.5f), b = S::set1(0.25f);
  for (int64_t t = 0; t < turns; ++t) unroll<kSums>([&](auto i) __attribute__((always_inline)) { sum[i.value] = S::fma(sum[i.value], a, b); });
  unroll<kSums>([&](auto i) __attribute__((always_inline)) { S::store(start[i.value], sum[i.value]); });
  forget(start);
  return turns * kSums * kLanes * 2;
}

// A tile of rows x panels like the kernels' own, widened to int32 at every step.
template <class Vocabulary>
int64_t spin_int8(int64_t turns) {
  using S = typename Vocabulary::ManyRows;
  // Where a dot is one instruction a sum waits for itself, and ten keep two units of five cycles busy. Else only additions wait; more than six sums find no registers, and
  // with several steps a turn the compiler would add up products first.
  constexpr bool kOne = S::kOneInstructionDot;
  constexpr int kRows = S::kQuantRows == 1 ? 1 : kOne ? 5 : 3, kPanels = S::kQuantPanels, kStepsATurn = kOne ? 8 : 1;
  constexpr int kDotRows = S::kDotRows;
  const int32_t nothing = 0;
  int8_t rows[kRows][kDotRows][4 * kDotRows];
  uint8_t codes[kPanels][64];
  for (auto& dot_rows : rows)
    for (auto& row : dot_rows)
      for (auto& q : row) q = 1;
  for (auto& panel : codes)
    for (auto& c : panel) c = 1;
  forget(rows);
  forget(codes);
  typename S::U8 code[kPanels];
  typename S::Q some[kRows];
  typename S::template Dot<false, 1> dot[kRows][kPanels];
#pragma GCC unroll 8
  for (int p = 0; p < kPanels; ++p) code[p] = S::load_b(codes[p]);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    some[r] = S::load_q(rows[r][0], 4 * kDotRows);
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
      dot[r][p].begin(&nothing);
      dot[r][p].template step<0, 2>(code[p], some[r]);
    }
  }
  for (int64_t t = 0; t < turns; ++t) {
#pragma GCC unroll 8
    for (int s = 0; s < kStepsATurn; ++s)
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        if constexpr (!kOne) {
          forget(rows);  // or products of the same operands would be made once
          some[r] = S::load_q(rows[r][0], 4 * kDotRows);
        }
#pragma GCC unroll 8
        for (int p = 0; p < kPanels; ++p) dot[r][p].template step<1, 2>(code[p], some[r]);
      }
  }
  alignas(64) float out[kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
      S::store(out, S::to_f32(dot[r][p].end(&nothing, 0)));
      forget(out);
    }
  return (turns * kStepsATurn + 1) * kRows * kDotRows * kPanels * kLanes * 4 * 2;
}

// One stream or several side by side, their lines asked for kAhead bytes before: which is quickest differs from machine to machine.
template <class S, int kStreams, int kLines, int kAhead>
void read_streams(const std::byte* p, int64_t n) {
  const int64_t part = n / kStreams;
  typename S::U8 sum[4];
  for (auto& s : sum) s = S::set1_b(0);
  for (int64_t i = 0; i + 64 * kLines <= part; i += 64 * kLines) {
#pragma GCC unroll 4
    for (int k = 0; k < kStreams; ++k) {
      const std::byte* from = p + k * part + i;
#pragma GCC unroll 16
      for (int j = 0; j < kLines; ++j) __builtin_prefetch(from + kAhead + 64 * j, 0, 0);  // it is used once
#pragma GCC unroll 16
      for (int j = 0; j < kLines; ++j) sum[j % 4] = S::or_b(sum[j % 4], S::load_b(from + 64 * j));
    }
  }
  uint8_t out[64];
  for (auto& s : sum) {
    S::store_b(out, s);
    forget(out);
  }
}

template <class S>
void read_bytes(const std::byte* p, int64_t n, int way) {
  if (way == 0) return read_streams<S, 1, 4, 8192>(p, n);
  if (way == 1) return read_streams<S, 1, 16, 8192>(p, n);
  return read_streams<S, 4, 4, 2048>(p, n);
}

}  // namespace carat::kernels
