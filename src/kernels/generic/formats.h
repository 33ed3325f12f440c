#pragma once
// How codes and scales of each quantised type come out of a tile (panel.h) into vectors.
#include <cstddef>
#include <cstdint>

#include "kernels/generic/unroll.h"
#include "tensor/blocks.h"
#include "tensor/panel.h"

namespace carat::kernels {

struct FormatTraits {
  Codes codes;
  int offset;    // code - offset is the integer weight (Codes::offset)
  int max_code;  // largest magnitude of the codes that enter the dot
  bool halves;   // a scale every 16 elements instead of every 32
  bool minima;   // a minimum beside each scale
};

constexpr FormatTraits format_traits(DType t) {
  switch (t) {
    case DType::q4_0: return {Codes::offset, 8, 15, false, false};
    case DType::q4_1: return {Codes::offset, 0, 15, false, true};
    case DType::q5_0: return {Codes::offset, 16, 31, false, false};
    case DType::q5_1: return {Codes::offset, 0, 31, false, true};
    case DType::q8_0: return {Codes::signed_bytes, 0, 128, false, false};
    case DType::iq4_nl:
    case DType::iq4_xs: return {Codes::iq4_table, 0, 127, false, false};
    case DType::mxfp4: return {Codes::e2m1_table, 0, 12, false, false};
    case DType::nvfp4: return {Codes::e2m1_table, 0, 12, true, false};
    case DType::q2_k: return {Codes::offset, 0, 3, true, true};
    case DType::q3_k: return {Codes::offset, 4, 7, true, false};
    case DType::q4_k: return {Codes::offset, 0, 15, false, true};
    case DType::q5_k: return {Codes::offset, 0, 31, false, true};
    case DType::q6_k: return {Codes::offset, 32, 63, true, false};
    default: return {};
  }
}

// The planes of a tile are several streams, which hardware prefetchers follow badly; in memory order they are one. A share of what comes kAhead later, a group.
template <class S>
[[gnu::always_inline]] inline void prefetch_ahead(const std::byte* tile, int64_t group_bytes, int64_t g) {
  constexpr int64_t kAhead = 6144;
  for (int64_t i = 0; i < group_bytes; i += 64) S::prefetch(tile + kAhead + g * group_bytes + i);
}

template <class S, DType T>
struct Format {
  using F32 = typename S::F32;
  using I32 = typename S::I32;
  using U8 = typename S::U8;
  static constexpr FormatTraits kTraits = format_traits(T);
  static constexpr TileShape kShape = tile_shape(T);
  static constexpr bool kSigned = kTraits.codes != Codes::offset;

  // 64 codes, [16 outputs][4 k], of quad kq of group g; made ready for S's dot.
  template <int kq>
  [[gnu::always_inline]] static inline U8 code(const std::byte* tile, int64_t groups, int64_t g) {
    U8 c;
    if constexpr (kShape.plane8 != 0) {
      c = S::load_b(tile + g * 512 + 64 * kq);
    } else {
      if constexpr (kShape.plane4 != 0) {
        const auto nibbles = S::load_b(tile + g * 256 + 64 * (kq % 4));
        if constexpr (kq < 4)
          c = S::and_b(nibbles, S::set1_b(0x0F));
        else
          c = S::and_b(S::template shr_b<4>(nibbles), S::set1_b(0x0F));
      }
      if constexpr (kShape.plane2 != 0) {
        constexpr int from = 2 * (kq / 2), to = kShape.plane4 != 0 ? 4 : 0;
        const auto pairs = shifted<from, to>(S::load_b(tile + kShape.plane2_at(groups) + g * 128 + 64 * (kq % 2)));
        const auto mask = S::set1_b(static_cast<uint8_t>(3 << to));
        if constexpr (kShape.plane4 != 0)
          c = S::and_or(pairs, mask, c);
        else
          c = S::and_b(pairs, mask);
      }
      if constexpr (kShape.plane1 != 0) {
        constexpr int to = kShape.plane4 != 0 ? 4 : 2;
        const auto bit = shifted<kq, to>(S::load_b(tile + kShape.plane1_at(groups) + g * 64));
        c = S::and_or(bit, S::set1_b(static_cast<uint8_t>(1 << to)), c);
      }
      if constexpr (kTraits.codes == Codes::iq4_table) c = S::lookup(kIq4Values, c);
      if constexpr (kTraits.codes == Codes::e2m1_table) c = S::lookup(kE2m1Doubled, c);
    }
    return S::template finish<kSigned, kTraits.offset>(c);
  }

  // ---- superblock types: the head's factors are floats, scales and minima of the parts (kParts a group) are integers.
  [[gnu::always_inline]] static inline F32 d(const std::byte* tile, int64_t groups) { return S::load_f16(tile + kShape.head_at(groups)); }
  [[gnu::always_inline]] static inline F32 dmin(const std::byte* tile, int64_t groups) { return S::load_f16(tile + kShape.head_at(groups) + 32); }
  [[gnu::always_inline]] static inline I32 part_scale(const std::byte* tile, int64_t groups, int64_t g, int half) {
    const std::byte* at = tile + kShape.scales_at(groups) + g * kShape.scale_bytes + 16 * half;
    if constexpr (T == DType::q2_k)
      return S::and_i(S::load_u8(at), S::set1_i(15));
    else if constexpr (T == DType::q4_k || T == DType::q5_k)
      return S::load_u8(at);
    else
      return S::load_i8(at);
  }
  [[gnu::always_inline]] static inline I32 part_minimum(const std::byte* tile, int64_t groups, int64_t g, int half) {
    const std::byte* at = tile + kShape.scales_at(groups) + g * kShape.scale_bytes + 16 * half;
    if constexpr (T == DType::q2_k)
      return S::template sra_i<4>(S::load_u8(at));
    else
      return S::load_u8(at + 16);
  }

  // ---- block types: the scale of group g (half 0 or 1 of it, where a scale serves 16 elements).
  [[gnu::always_inline]] static inline F32 scale(const std::byte* tile, int64_t groups, int64_t g, int half) {
    const std::byte* at = tile + kShape.scales_at(groups) + g * kShape.scale_bytes;
    if constexpr (T == DType::mxfp4) {  // 2^(e - 128): e = 0, 1 are subnormal
      const auto e = S::load_u8(at);
      const auto normal = S::template shl_i<23>(S::sub_i(e, S::set1_i(1)));
      const auto small = S::select(S::equal_i(e, S::set1_i(0)), S::from_bits(S::set1_i(0x00200000)), S::from_bits(S::set1_i(0x00400000)));
      return S::select(S::less_i(e, S::set1_i(2)), small, S::from_bits(normal));
    } else if constexpr (T == DType::nvfp4) {  // unsigned E4M3, halved; 0x7F stands for 0
      const auto x = S::load_u8(at + 16 * half);
      const auto low = S::and_i(x, S::set1_i(0x7F));
      const auto normal = S::from_bits(S::add_i(S::template shl_i<20>(low), S::set1_i(119 << 23)));
      const auto small = S::mul(S::to_f32(low), S::set1(0x1p-10f));
      const auto value = S::select(S::less_i(low, S::set1_i(8)), small, normal);
      return S::select(S::equal_i(x, S::set1_i(0x7F)), S::zero(), value);
    } else {
      return S::load_f16(at);
    }
  }
  // Q4_1, Q5_1: what is added for each unit of an activation.
  [[gnu::always_inline]] static inline F32 minimum(const std::byte* tile, int64_t groups, int64_t g) {
    return S::load_f16(tile + kShape.scales_at(groups) + g * kShape.scale_bytes + 32);
  }

  // The codes of group g to scratch, in the order that the dots of many rows take.
  [[gnu::always_inline]] static inline void unpack_codes(const std::byte* tile, int64_t groups, int64_t g, uint8_t (*out)[64]) {
    unroll<4>([&](auto pair) __attribute__((always_inline)) {
      constexpr int kq = 2 * pair.value;
      U8 first = code<kq>(tile, groups, g), second = code<kq + 1>(tile, groups, g);
      if constexpr (S::ManyRows::kDotRows == 2) S::ManyRows::zip_codes(first, second);
      S::store_b(out[kq], first);
      S::store_b(out[kq + 1], second);
    });
  }

 private:
  // Bit field moved from bit `from` to bit `to` of its byte; the rest is to be masked off.
  template <int from, int to>
  [[gnu::always_inline]] static inline U8 shifted(U8 a) {
    if constexpr (from > to)
      return S::template shr_b<from - to>(a);
    else if constexpr (from < to)
      return S::template shl_b<to - from>(a);
    else
      return a;
  }
};

}  // namespace carat::kernels
