#include "kernels/pack.h"

#include <cstring>

#include "base/error.h"
#include "kernels/panel.h"
#include "tensor/blocks.h"
#include "tensor/dequantise.h"

namespace carat::kernels {
namespace {

// One output's part of one tile, between file order and panel order. Codes are raw: no offset taken off, table indices not looked up.
struct LaneTile {
  uint8_t codes[kTileK];
  uint8_t scales[kGroupsPerTile * 4];  // scale_bytes / 16 bytes a group
  uint8_t head[4];                     // head_bytes / 16 bytes
};

void put16(uint8_t* to, uint16_t v) { std::memcpy(to, &v, 2); }
uint16_t get16(const uint8_t* from) {
  uint16_t v;
  std::memcpy(&v, from, 2);
  return v;
}

// ---- file blocks -> LaneTile. `g` is the first group of the block inside the tile.

void nibbles16(const uint8_t* qs, uint8_t* codes) {
  for (int j = 0; j < 16; ++j) {
    codes[j] = qs[j] & 15;
    codes[j + 16] = qs[j] >> 4;
  }
}

void fifth_bits(const uint8_t* qh, uint8_t* codes) {
  uint32_t bits;
  std::memcpy(&bits, qh, 4);
  for (int j = 0; j < 32; ++j) codes[j] = static_cast<uint8_t>(codes[j] | (((bits >> j) & 1) << 4));
}

void read(const BlockQ4_0& b, int g, LaneTile& t) {
  nibbles16(b.qs, t.codes + 32 * g);
  put16(t.scales + 2 * g, b.d);
}
void read(const BlockIQ4_NL& b, int g, LaneTile& t) {
  nibbles16(b.qs, t.codes + 32 * g);
  put16(t.scales + 2 * g, b.d);
}
void read(const BlockQ4_1& b, int g, LaneTile& t) {
  nibbles16(b.qs, t.codes + 32 * g);
  put16(t.scales + 4 * g, b.d);
  put16(t.scales + 4 * g + 2, b.m);
}
void read(const BlockQ5_0& b, int g, LaneTile& t) {
  nibbles16(b.qs, t.codes + 32 * g);
  fifth_bits(b.qh, t.codes + 32 * g);
  put16(t.scales + 2 * g, b.d);
}
void read(const BlockQ5_1& b, int g, LaneTile& t) {
  nibbles16(b.qs, t.codes + 32 * g);
  fifth_bits(b.qh, t.codes + 32 * g);
  put16(t.scales + 4 * g, b.d);
  put16(t.scales + 4 * g + 2, b.m);
}
void read(const BlockQ8_0& b, int g, LaneTile& t) {
  std::memcpy(t.codes + 32 * g, b.qs, 32);
  put16(t.scales + 2 * g, b.d);
}
void read(const BlockMXFP4& b, int g, LaneTile& t) {
  nibbles16(b.qs, t.codes + 32 * g);
  t.scales[g] = b.e;
}
void read(const BlockNVFP4& b, int g, LaneTile& t) {
  for (int s = 0; s < 4; ++s) {
    uint8_t* codes = t.codes + 32 * g + 16 * s;
    for (int j = 0; j < 8; ++j) {
      codes[j] = b.qs[8 * s + j] & 15;
      codes[j + 8] = b.qs[8 * s + j] >> 4;
    }
    t.scales[2 * g + s] = b.d[s];
  }
}

// Nibbles of Q4_K and Q5_K: 32 bytes hold two runs of 32.
void nibbles32(const uint8_t* qs, uint8_t* codes) {
  for (int p = 0; p < 4; ++p)
    for (int l = 0; l < 32; ++l) {
      codes[64 * p + l] = qs[32 * p + l] & 15;
      codes[64 * p + 32 + l] = qs[32 * p + l] >> 4;
    }
}

void scale_mins(const uint8_t* scales, uint8_t* out) {
  for (int s = 0; s < 8; ++s) {
    const ScaleMin sm = unpack_scale_min(scales, s);
    out[2 * s] = sm.scale;
    out[2 * s + 1] = sm.min;
  }
}

void read(const BlockQ4_K& b, int, LaneTile& t) {
  nibbles32(b.qs, t.codes);
  scale_mins(b.scales, t.scales);
  put16(t.head, b.d);
  put16(t.head + 2, b.dmin);
}
void read(const BlockQ5_K& b, int, LaneTile& t) {
  nibbles32(b.qs, t.codes);
  for (int s = 0; s < 8; ++s)
    for (int l = 0; l < 32; ++l) t.codes[32 * s + l] = static_cast<uint8_t>(t.codes[32 * s + l] | (((b.qh[l] >> s) & 1) << 4));
  scale_mins(b.scales, t.scales);
  put16(t.head, b.d);
  put16(t.head + 2, b.dmin);
}
void read(const BlockQ6_K& b, int, LaneTile& t) {
  for (int half = 0; half < 2; ++half)
    for (int part = 0; part < 4; ++part)
      for (int l = 0; l < 32; ++l) {
        const uint8_t low = b.ql[64 * half + 32 * (part % 2) + l];
        const int nibble = part < 2 ? low & 15 : low >> 4;
        t.codes[128 * half + 32 * part + l] = static_cast<uint8_t>(nibble | (((b.qh[32 * half + l] >> (2 * part)) & 3) << 4));
      }
  std::memcpy(t.scales, b.scales, 16);
  put16(t.head, b.d);
}
void read(const BlockQ3_K& b, int, LaneTile& t) {
  for (int half = 0; half < 2; ++half)
    for (int shift = 0; shift < 4; ++shift)
      for (int l = 0; l < 32; ++l) {
        const int low = (b.qs[32 * half + l] >> (2 * shift)) & 3;
        t.codes[128 * half + 32 * shift + l] = static_cast<uint8_t>(low | (((b.hmask[l] >> (4 * half + shift)) & 1) << 2));
      }
  unpack_q3_scales(b.scales, t.scales);
  for (int s = 0; s < 16; ++s) t.scales[s] = static_cast<uint8_t>(t.scales[s] - 32);
  put16(t.head, b.d);
}
void read(const BlockQ2_K& b, int, LaneTile& t) {
  for (int half = 0; half < 2; ++half)
    for (int shift = 0; shift < 4; ++shift)
      for (int l = 0; l < 32; ++l) t.codes[128 * half + 32 * shift + l] = (b.qs[32 * half + l] >> (2 * shift)) & 3;
  std::memcpy(t.scales, b.scales, 16);
  put16(t.head, b.d);
  put16(t.head + 2, b.dmin);
}
void read(const BlockIQ4_XS& b, int, LaneTile& t) {
  for (int s = 0; s < 8; ++s) {
    nibbles16(b.qs + 16 * s, t.codes + 32 * s);
    const int low = (b.scales_l[s / 2] >> (4 * (s % 2))) & 15;
    t.scales[s] = static_cast<uint8_t>((low | (((b.scales_h >> (2 * s)) & 3) << 4)) - 32);
  }
  put16(t.head, b.d);
}

template <typename Block>
void read_tile(const std::byte* row, int64_t k0, int64_t k, int64_t elems, LaneTile& t) {
  for (int64_t i = 0; i < k; i += elems) {
    Block b;
    std::memcpy(&b, row + (k0 + i) / elems * static_cast<int64_t>(sizeof b), sizeof b);
    read(b, static_cast<int>(i / kGroup), t);
  }
}

void read_tile(DType t, const std::byte* row, int64_t k0, int64_t k, LaneTile& lane) {
  switch (t) {
    case DType::q4_0: return read_tile<BlockQ4_0>(row, k0, k, 32, lane);
    case DType::q4_1: return read_tile<BlockQ4_1>(row, k0, k, 32, lane);
    case DType::q5_0: return read_tile<BlockQ5_0>(row, k0, k, 32, lane);
    case DType::q5_1: return read_tile<BlockQ5_1>(row, k0, k, 32, lane);
    case DType::q8_0: return read_tile<BlockQ8_0>(row, k0, k, 32, lane);
    case DType::iq4_nl: return read_tile<BlockIQ4_NL>(row, k0, k, 32, lane);
    case DType::mxfp4: return read_tile<BlockMXFP4>(row, k0, k, 32, lane);
    case DType::nvfp4: return read_tile<BlockNVFP4>(row, k0, k, 64, lane);
    case DType::q2_k: return read_tile<BlockQ2_K>(row, k0, k, 256, lane);
    case DType::q3_k: return read_tile<BlockQ3_K>(row, k0, k, 256, lane);
    case DType::q4_k: return read_tile<BlockQ4_K>(row, k0, k, 256, lane);
    case DType::q5_k: return read_tile<BlockQ5_K>(row, k0, k, 256, lane);
    case DType::q6_k: return read_tile<BlockQ6_K>(row, k0, k, 256, lane);
    case DType::iq4_xs: return read_tile<BlockIQ4_XS>(row, k0, k, 256, lane);
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
  fail(ErrorCode::internal, "internal: {} has no panels", info(t).name);
}

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

// ---- LaneTile -> f32, operation for operation what dequantise() does.

float e8m0_half(uint8_t e) {
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  return __builtin_bit_cast(float, bits);
}

float ue4m3_half(uint8_t x) {
  if (x == 0x7F) return 0.0f;
  const uint32_t low = x & 0x7Fu;
  if (low < 8) return static_cast<float>(low) * 0x1p-10f;
  return __builtin_bit_cast(float, (low << 20) + (119u << 23));
}

void values(DType t, const LaneTile& lane, int64_t k, float* out) {
  const auto half = [&](int64_t at) { return f16_to_f32(get16(lane.scales + at)); };
  const float d = f16_to_f32(get16(lane.head)), dmin = f16_to_f32(get16(lane.head + 2));
  for (int64_t h = 0; h < k / 16; ++h) {
    const int64_t g = h / 2;
    const uint8_t* c = lane.codes + 16 * h;
    float* y = out + 16 * h;
    const auto each = [&](float s, auto value) {
      for (int j = 0; j < 16; ++j) y[j] = s * static_cast<float>(value(c[j]));
    };
    const auto offset = [](int o) { return [o](uint8_t q) { return q - o; }; };
    const auto lower = [&](float m) {
      for (int j = 0; j < 16; ++j) y[j] = y[j] - m;
    };
    const auto iq4 = [](uint8_t q) { return kIq4Values[q]; };
    const auto e2m1 = [](uint8_t q) { return kE2m1Doubled[q]; };
    const auto signed8 = [](uint8_t s) { return static_cast<float>(static_cast<int8_t>(s)); };
    switch (t) {
      case DType::q4_0: each(half(2 * g), offset(8)); break;
      case DType::q5_0: each(half(2 * g), offset(16)); break;
      case DType::q8_0: each(half(2 * g), [](uint8_t q) { return static_cast<int8_t>(q); }); break;
      case DType::iq4_nl: each(half(2 * g), iq4); break;
      case DType::q4_1:
      case DType::q5_1:
        each(half(4 * g), offset(0));
        for (int j = 0; j < 16; ++j) y[j] = y[j] + half(4 * g + 2);
        break;
      case DType::mxfp4: each(e8m0_half(lane.scales[g]), e2m1); break;
      case DType::nvfp4: each(ue4m3_half(lane.scales[h]), e2m1); break;
      case DType::q2_k:
        each(d * static_cast<float>(lane.scales[h] & 15), offset(0));
        lower(dmin * static_cast<float>(lane.scales[h] >> 4));
        break;
      case DType::q3_k: each(d * signed8(lane.scales[h]), offset(4)); break;
      case DType::q4_k:
      case DType::q5_k:
        each(d * static_cast<float>(lane.scales[2 * g]), offset(0));
        lower(dmin * static_cast<float>(lane.scales[2 * g + 1]));
        break;
      case DType::q6_k: each(d * signed8(lane.scales[h]), offset(32)); break;
      case DType::iq4_xs: each(d * signed8(lane.scales[g]), iq4); break;
      default: break;
    }
  }
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

void unpack_row(DType t, const std::byte* panel, int lane_index, int64_t k, float* out) {
  check(packable(t) && k >= 0 && k % info(t).block_elems == 0 && lane_index >= 0 && lane_index < kLanes, "unpack_row: no such row");
  if (is_float(t)) {
    const int64_t size = info(t).block_bytes;
    for (int64_t j = 0; j < k; ++j) {
      const std::byte* from = panel + (j * kLanes + lane_index) * size;
      if (t == DType::f32) {
        std::memcpy(out + j, from, 4);
        continue;
      }
      uint16_t bits;
      std::memcpy(&bits, from, 2);
      out[j] = t == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    }
    return;
  }
  const TileShape shape = tile_shape(t);
  for (int64_t k0 = 0; k0 < k; k0 += kTileK) {
    const int64_t width = k - k0 < kTileK ? k - k0 : kTileK;
    const int64_t groups = width / kGroup;
    LaneTile lane;
    std::memset(&lane.head, 0, sizeof lane.head);
    read_lane(shape, panel, groups, lane_index, lane);
    read_scales(t, shape, panel, groups, lane_index, lane);
    values(t, lane, width, out + k0);
    panel += shape.bytes(groups);
  }
}

}  // namespace carat::kernels
