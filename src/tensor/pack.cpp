#include "tensor/pack.h"

#include <cstring>

#include "base/error.h"
#include "tensor/dequantise.h"
#include "tensor/lane_tile.h"
#include "tensor/panel.h"

namespace carat {
namespace {

// ---- LaneTile <-> planes. A word is the 4 bytes (k) of one output in a 64-byte vector.

uint32_t word_at(const uint8_t* p) {
  uint32_t w;
  std::memcpy(&w, p, 4);
  return w;
}
uint32_t word_at(const std::byte* p) {
  uint32_t w;
  std::memcpy(&w, p, 4);
  return w;
}
void set_word(std::byte* p, uint32_t w) { std::memcpy(p, &w, 4); }

constexpr uint32_t kNibbles = 0x0F0F0F0Fu, kPairs = 0x03030303u, kBits = 0x01010101u;

void write_lane(const TileShape& shape, const LaneTile& lane, int64_t groups, int i, std::byte* tile) {
  for (int64_t g = 0; g < groups; ++g) {
    const uint8_t* codes = lane.codes + kGroup * g;
    uint32_t w[8];
    for (int kq = 0; kq < 8; ++kq) w[kq] = word_at(codes + 4 * kq);
    std::byte* at = tile + g * (shape.plane8 + shape.plane4) + 4 * i;
    if (shape.plane8 != 0)
      for (int kq = 0; kq < 8; ++kq) set_word(at + 64 * kq, w[kq]);
    int low_bits = 0;  // bits already stored in lower planes
    if (shape.plane4 != 0) {
      for (int v = 0; v < 4; ++v) set_word(at + 64 * v, (w[v] & kNibbles) | ((w[v + 4] & kNibbles) << 4));
      low_bits = 4;
    }
    if (shape.plane2 != 0) {
      std::byte* at2 = tile + shape.plane2_at(groups) + g * shape.plane2 + 4 * i;
      for (int v = 0; v < 2; ++v) {
        uint32_t bits = 0;
        for (int b = 0; b < 4; ++b) bits |= ((w[v + 2 * b] >> low_bits) & kPairs) << (2 * b);
        set_word(at2 + 64 * v, bits);
      }
      low_bits += 2;
    }
    if (shape.plane1 != 0) {
      uint32_t bits = 0;
      for (int kq = 0; kq < 8; ++kq) bits |= ((w[kq] >> low_bits) & kBits) << kq;
      set_word(tile + shape.plane1_at(groups) + g * shape.plane1 + 4 * i, bits);
    }
  }
}

void read_lane(const TileShape& shape, const std::byte* tile, int64_t groups, int i, LaneTile& lane) {
  for (int64_t g = 0; g < groups; ++g) {
    uint32_t w[8] = {};
    const std::byte* at = tile + g * (shape.plane8 + shape.plane4) + 4 * i;
    if (shape.plane8 != 0)
      for (int kq = 0; kq < 8; ++kq) w[kq] = word_at(at + 64 * kq);
    int low_bits = 0;
    if (shape.plane4 != 0) {
      for (int v = 0; v < 4; ++v) {
        w[v] = word_at(at + 64 * v) & kNibbles;
        w[v + 4] = (word_at(at + 64 * v) >> 4) & kNibbles;
      }
      low_bits = 4;
    }
    if (shape.plane2 != 0) {
      const std::byte* at2 = tile + shape.plane2_at(groups) + g * shape.plane2 + 4 * i;
      for (int v = 0; v < 2; ++v)
        for (int b = 0; b < 4; ++b) w[v + 2 * b] |= ((word_at(at2 + 64 * v) >> (2 * b)) & kPairs) << low_bits;
      low_bits += 2;
    }
    if (shape.plane1 != 0) {
      const uint32_t bits = word_at(tile + shape.plane1_at(groups) + g * shape.plane1 + 4 * i);
      for (int kq = 0; kq < 8; ++kq) w[kq] |= ((bits >> kq) & kBits) << low_bits;
    }
    std::memcpy(lane.codes + kGroup * g, w, kGroup);
  }
}

// Scales of a group: units of 16 lanes, one or two bytes wide.
int scale_width(DType t) {
  switch (t) {
    case DType::q4_0:
    case DType::q4_1:
    case DType::q5_0:
    case DType::q5_1:
    case DType::q8_0:
    case DType::iq4_nl: return 2;
    default: return 1;
  }
}

void write_scales(DType t, const TileShape& shape, const LaneTile& lane, int64_t groups, int i, std::byte* tile) {
  const int width = scale_width(t);
  const int64_t units = groups * shape.scale_bytes / (16 * width);
  std::byte* at = tile + shape.scales_at(groups);
  for (int64_t u = 0; u < units; ++u) std::memcpy(at + (u * 16 + i) * width, lane.scales + u * width, static_cast<size_t>(width));
  for (int h = 0; h < shape.head_bytes / 32; ++h) std::memcpy(tile + shape.head_at(groups) + 32 * h + 2 * i, lane.head + 2 * h, 2);
}

void read_scales(DType t, const TileShape& shape, const std::byte* tile, int64_t groups, int i, LaneTile& lane) {
  const int width = scale_width(t);
  const int64_t units = groups * shape.scale_bytes / (16 * width);
  const std::byte* at = tile + shape.scales_at(groups);
  for (int64_t u = 0; u < units; ++u) std::memcpy(lane.scales + u * width, at + (u * 16 + i) * width, static_cast<size_t>(width));
  for (int h = 0; h < shape.head_bytes / 32; ++h) std::memcpy(lane.head + 2 * h, tile + shape.head_at(groups) + 32 * h + 2 * i, 2);
}

void read_planes(DType t, const TileShape& shape, const std::byte* tile, int64_t groups, int i, LaneTile& lane) {
  std::memset(lane.head, 0, sizeof lane.head);
  read_lane(shape, tile, groups, i, lane);
  read_scales(t, shape, tile, groups, i, lane);
}

}  // namespace

bool packable(DType t) { return is_float(t) || is_quantised(t); }

int64_t panel_bytes(DType t, int64_t k) {
  check(packable(t) && k >= 0 && k % info(t).block_elems == 0, "panel_bytes: no panels of this type and width");
  if (is_float(t)) return k * kLanes * info(t).block_bytes;
  return panel_size(t, k);
}

void pack_panel(DType t, const std::byte* const rows[16], int64_t k, std::byte* panel) {
  check(packable(t) && k >= 0 && k % info(t).block_elems == 0, "pack_panel: no panels of this type and width");
  if (is_float(t)) {
    const auto size = static_cast<size_t>(info(t).block_bytes);
    for (int i = 0; i < kLanes; ++i)
      for (int64_t j = 0; j < k; ++j) {
        std::byte* to = panel + (j * kLanes + i) * info(t).block_bytes;
        if (rows[i] == nullptr)
          std::memset(to, 0, size);
        else if (size == 4)
          std::memcpy(to, rows[i] + j * 4, 4);
        else
          std::memcpy(to, rows[i] + j * 2, 2);
      }
    return;
  }
  const TileShape shape = tile_shape(t);
  for (int64_t k0 = 0; k0 < k; k0 += kTileK) {
    const int64_t width = k - k0 < kTileK ? k - k0 : kTileK;
    const int64_t groups = width / kGroup;
    for (int i = 0; i < kLanes; ++i) {
      LaneTile lane;
      if (rows[i] == nullptr)
        std::memset(&lane, 0, sizeof lane);
      else
        read_tile(t, rows[i], k0, width, lane);
      write_lane(shape, lane, groups, i, panel);
      write_scales(t, shape, lane, groups, i, panel);
    }
    panel += shape.bytes(groups);
  }
}

void pack_rows(DType t, const std::byte* rows, int64_t n, int64_t k, std::byte* panels) {
  const int64_t bytes_per_row = row_bytes(t, k), bytes_per_panel = panel_bytes(t, k);
  for (int64_t first = 0; first < n; first += kLanes, panels += bytes_per_panel) {
    const std::byte* lanes[kLanes] = {};
    for (int64_t i = 0; i < kLanes && first + i < n; ++i) lanes[i] = rows + (first + i) * bytes_per_row;
    pack_panel(t, lanes, k, panels);
  }
}

void unpack_blocks(DType t, const std::byte* panel, int lane, int64_t k, std::byte* row) {
  check(packable(t) && k >= 0 && k % info(t).block_elems == 0 && lane >= 0 && lane < kLanes, "unpack_blocks: no such row");
  if (is_float(t)) {
    const int64_t size = info(t).block_bytes;
    for (int64_t j = 0; j < k; ++j) {
      const std::byte* from = panel + (j * kLanes + lane) * size;
      if (size == 4)
        std::memcpy(row + j * 4, from, 4);
      else
        std::memcpy(row + j * 2, from, 2);
    }
    return;
  }
  const TileShape shape = tile_shape(t);
  for (int64_t k0 = 0; k0 < k; k0 += kTileK) {
    const int64_t width = k - k0 < kTileK ? k - k0 : kTileK;
    LaneTile tile;
    read_planes(t, shape, panel, width / kGroup, lane, tile);
    write_tile(t, tile, k0, width, row);
    panel += shape.bytes(width / kGroup);
  }
}

void unpack_row(DType t, const std::byte* panel, int lane, int64_t k, float* out) {
  check(packable(t) && k >= 0 && k % info(t).block_elems == 0 && lane >= 0 && lane < kLanes, "unpack_row: no such row");
  std::byte blocks[kTileK * sizeof(float)];  // of a tile: at most f32
  const int64_t in_tile = is_float(t) ? kTileK * kLanes * info(t).block_bytes : tile_shape(t).bytes(kGroupsPerTile);
  for (int64_t k0 = 0; k0 < k; k0 += kTileK, panel += in_tile) {
    const int64_t width = k - k0 < kTileK ? k - k0 : kTileK;
    unpack_blocks(t, panel, lane, width, blocks);
    dequantise(t, blocks, out + k0, width);
  }
}

}  // namespace carat
