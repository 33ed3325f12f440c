#pragma once
// A tile of one row, between the order of a file's blocks and that of a panel: codes and scales taken apart, nothing decoded.
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/panel.h"

namespace carat {

// One output's part of one tile. Codes are raw: no offset taken off, table indices not looked up.
struct LaneTile {
  uint8_t codes[kTileK];
  uint8_t scales[kGroupsPerTile * 4];  // scale_bytes / 16 bytes a group
  uint8_t head[4];                     // head_bytes / 16 bytes
};

// Elements [k0, k0 + k) of a row in blocks of the quantised type t. k0 is a multiple of kTileK, k of the block, at most kTileK.
void read_tile(DType t, const std::byte* row, int64_t k0, int64_t k, LaneTile& lane);
// The inverse, bit for bit.
void write_tile(DType t, const LaneTile& lane, int64_t k0, int64_t k, std::byte* row);

}  // namespace carat
