#pragma once
// Where things lie in a panel of 16 outputs. Plain constants: shared by pack.cpp and by the kernels of every instruction set.
// Files may hold panels as well (docs/decisions/0011): whoever changes this order gives it another version there.
//
// A quantised panel is a run of tiles of kTileK elements (the last may be shorter, a whole number of 32-groups; superblock types have whole tiles only).
// A tile of G groups holds, in this order:
//   code planes   8-bit [G][8 kq][16 outputs][4 k], or any of 4-bit [G][4][16][4], 2-bit [G][2][16][4], 1-bit [G][1][16][4] (kq = k / 4 inside the group);
//                 byte vector i of the 4-bit plane: low nibble kq = i, high nibble kq = i + 4; vector j of the 2-bit plane: bits 2b, 2b+1 are kq = j + 2b;
//                 the 1-bit plane: bit kq. Higher planes hold the higher bits of a code.
//   scales        [G] x scale_bytes: lanes inside, see each type below
//   head          once a tile: f16 d[16] (then f16 dmin[16]) of superblock types
// Nothing is rounded. Sizes equal those of the file's blocks, except Q4_K 148, Q5_K 180 for 144, 176 (6-bit scales and minima expanded to a byte each),
// Q3_K 114 for 110 (scales to a byte), IQ4_XS 138 for 136 (scales to a byte).
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace carat {

inline constexpr int kLanes = 16;   // outputs a panel
inline constexpr int kGroup = 32;   // elements that share a scale
inline constexpr int kTileK = 256;  // k of one tile of a panel
inline constexpr int kGroupsPerTile = kTileK / kGroup;
inline constexpr int kPartsPerTile = kTileK / 16;  // a part has a scale of its own: a group, or half of one

struct TileShape {
  int plane8 = 0, plane4 = 0, plane2 = 0, plane1 = 0;  // bytes a group: 512, 256, 128, 64 or 0
  int scale_bytes = 0;                                 // bytes a group, all lanes
  int head_bytes = 0;                                  // bytes a tile

  constexpr int64_t group_bytes() const { return plane8 + plane4 + plane2 + plane1 + scale_bytes; }
  constexpr int64_t bytes(int64_t groups) const { return groups * group_bytes() + head_bytes; }
  constexpr int64_t plane2_at(int64_t groups) const { return groups * (plane8 + plane4); }
  constexpr int64_t plane1_at(int64_t groups) const { return groups * (plane8 + plane4 + plane2); }
  constexpr int64_t scales_at(int64_t groups) const { return groups * (plane8 + plane4 + plane2 + plane1); }
  constexpr int64_t head_at(int64_t groups) const { return groups * group_bytes(); }
};

constexpr TileShape tile_shape(DType t) {
  switch (t) {
    case DType::q8_0: return {512, 0, 0, 0, 32, 0};  // scales: f16 d[16]
    case DType::q4_0:
    case DType::iq4_nl: return {0, 256, 0, 0, 32, 0};
    case DType::q4_1: return {0, 256, 0, 0, 64, 0};  // f16 d[16], f16 m[16]
    case DType::q5_0: return {0, 256, 0, 64, 32, 0};
    case DType::q5_1: return {0, 256, 0, 64, 64, 0};
    case DType::mxfp4: return {0, 256, 0, 0, 16, 0};   // u8 e[16]
    case DType::nvfp4: return {0, 256, 0, 0, 32, 0};   // u8 [2 halves][16]
    case DType::q2_k: return {0, 0, 128, 0, 32, 64};   // u8 [2 halves][16]: scale low nibble, minimum high; head f16 d[16], dmin[16]
    case DType::q3_k: return {0, 0, 128, 64, 32, 32};  // i8 [2 halves][16], 32 already taken off; head f16 d[16]
    case DType::q4_k: return {0, 256, 0, 0, 32, 64};   // u8 sc[16], u8 min[16]; head f16 d[16], dmin[16]
    case DType::q5_k: return {0, 256, 0, 64, 32, 64};
    case DType::q6_k: return {0, 256, 128, 0, 32, 32};  // i8 [2 halves][16]; head f16 d[16]
    case DType::iq4_xs: return {0, 256, 0, 0, 16, 32};  // i8 [16], 32 already taken off; head f16 d[16]
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::i8:
    case DType::i32:
    case DType::i64:
    case DType::u8:
    case DType::boolean:
    case DType::f8_e4m3: break;
  }
  return {};
}

// Bytes of a panel of a quantised type.
constexpr int64_t panel_size(DType t, int64_t k) {
  const TileShape shape = tile_shape(t);
  const int64_t rest = k % kTileK / kGroup;
  return k / kTileK * shape.bytes(kGroupsPerTile) + (rest != 0 ? shape.bytes(rest) : 0);
}

// What a panel's raw codes stand for: code - offset, or a signed byte, or an index into a table of 16.
enum class Codes { offset, signed_bytes, iq4_table, e2m1_table };

}  // namespace carat
