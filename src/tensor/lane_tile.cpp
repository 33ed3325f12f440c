#include "tensor/lane_tile.h"

#include <cstring>

#include "base/error.h"
#include "tensor/blocks.h"

namespace carat {
namespace {

void put16(uint8_t* to, uint16_t v) { std::memcpy(to, &v, 2); }
uint16_t get16(const uint8_t* from) {
  uint16_t v;
  std::memcpy(&v, from, 2);
  return v;
}

// ---- File blocks -> LaneTile. `g` is the first group of the block inside the tile.

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

// ---- LaneTile -> file blocks: the way back, bit for bit.

void pack_nibbles16(const uint8_t* codes, uint8_t* qs) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] << 4));
}

void pack_fifth_bits(const uint8_t* codes, uint8_t* qh) {
  uint32_t bits = 0;
  for (int j = 0; j < 32; ++j) bits |= static_cast<uint32_t>((codes[j] >> 4) & 1) << j;
  std::memcpy(qh, &bits, 4);
}

void write(const LaneTile& t, int g, BlockQ4_0& b) {
  pack_nibbles16(t.codes + 32 * g, b.qs);
  b.d = get16(t.scales + 2 * g);
}
void write(const LaneTile& t, int g, BlockIQ4_NL& b) {
  pack_nibbles16(t.codes + 32 * g, b.qs);
  b.d = get16(t.scales + 2 * g);
}
void write(const LaneTile& t, int g, BlockQ4_1& b) {
  pack_nibbles16(t.codes + 32 * g, b.qs);
  b.d = get16(t.scales + 4 * g), b.m = get16(t.scales + 4 * g + 2);
}
void write(const LaneTile& t, int g, BlockQ5_0& b) {
  pack_nibbles16(t.codes + 32 * g, b.qs);
  pack_fifth_bits(t.codes + 32 * g, b.qh);
  b.d = get16(t.scales + 2 * g);
}
void write(const LaneTile& t, int g, BlockQ5_1& b) {
  pack_nibbles16(t.codes + 32 * g, b.qs);
  pack_fifth_bits(t.codes + 32 * g, b.qh);
  b.d = get16(t.scales + 4 * g), b.m = get16(t.scales + 4 * g + 2);
}
void write(const LaneTile& t, int g, BlockQ8_0& b) {
  std::memcpy(b.qs, t.codes + 32 * g, 32);
  b.d = get16(t.scales + 2 * g);
}
void write(const LaneTile& t, int g, BlockMXFP4& b) {
  pack_nibbles16(t.codes + 32 * g, b.qs);
  b.e = t.scales[g];
}
void write(const LaneTile& t, int g, BlockNVFP4& b) {
  for (int s = 0; s < 4; ++s) {
    const uint8_t* codes = t.codes + 32 * g + 16 * s;
    for (int j = 0; j < 8; ++j) b.qs[8 * s + j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 8] << 4));
    b.d[s] = t.scales[2 * g + s];
  }
}

void pack_nibbles32(const uint8_t* codes, uint8_t* qs) {
  for (int p = 0; p < 4; ++p)
    for (int l = 0; l < 32; ++l) qs[32 * p + l] = static_cast<uint8_t>((codes[64 * p + l] & 15) | (codes[64 * p + 32 + l] << 4));
}

void write(const LaneTile& t, int, BlockQ4_K& b) {
  pack_nibbles32(t.codes, b.qs);
  pack_scale_mins(t.scales, b.scales);
  b.d = get16(t.head), b.dmin = get16(t.head + 2);
}
void write(const LaneTile& t, int, BlockQ5_K& b) {
  pack_nibbles32(t.codes, b.qs);
  for (int l = 0; l < 32; ++l) {
    int bits = 0;
    for (int s = 0; s < 8; ++s) bits |= ((t.codes[32 * s + l] >> 4) & 1) << s;
    b.qh[l] = static_cast<uint8_t>(bits);
  }
  pack_scale_mins(t.scales, b.scales);
  b.d = get16(t.head), b.dmin = get16(t.head + 2);
}
void write(const LaneTile& t, int, BlockQ6_K& b) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = t.codes + 128 * half + l;
      for (int part = 0; part < 2; ++part) b.ql[64 * half + 32 * part + l] = static_cast<uint8_t>((c[32 * part] & 15) | (c[32 * part + 64] << 4));
      b.qh[32 * half + l] = static_cast<uint8_t>(((c[0] >> 4) & 3) | (((c[32] >> 4) & 3) << 2) | (((c[64] >> 4) & 3) << 4) | ((c[96] >> 4) << 6));
    }
  std::memcpy(b.scales, t.scales, 16);
  b.d = get16(t.head);
}
void write(const LaneTile& t, int, BlockQ3_K& b) {
  for (int l = 0; l < 32; ++l) {
    int high = 0;
    for (int half = 0; half < 2; ++half) {
      int low = 0;
      for (int shift = 0; shift < 4; ++shift) {
        const int c = t.codes[128 * half + 32 * shift + l];
        low |= (c & 3) << (2 * shift), high |= ((c >> 2) & 1) << (4 * half + shift);
      }
      b.qs[32 * half + l] = static_cast<uint8_t>(low);
    }
    b.hmask[l] = static_cast<uint8_t>(high);
  }
  uint8_t scales[16];
  for (int s = 0; s < 16; ++s) scales[s] = static_cast<uint8_t>((t.scales[s] + 32) & 63);
  pack_q3_scales(scales, b.scales);
  b.d = get16(t.head);
}
void write(const LaneTile& t, int, BlockQ2_K& b) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = t.codes + 128 * half + l;
      b.qs[32 * half + l] = static_cast<uint8_t>((c[0] & 3) | ((c[32] & 3) << 2) | ((c[64] & 3) << 4) | (c[96] << 6));
    }
  std::memcpy(b.scales, t.scales, 16);
  b.d = get16(t.head), b.dmin = get16(t.head + 2);
}
void write(const LaneTile& t, int, BlockIQ4_XS& b) {
  int low[4] = {}, high = 0;
  for (int s = 0; s < 8; ++s) {
    pack_nibbles16(t.codes + 32 * s, b.qs + 16 * s);
    const int scale = (t.scales[s] + 32) & 63;
    low[s / 2] |= (scale & 15) << (4 * (s % 2)), high |= (scale >> 4) << (2 * s);
  }
  for (int i = 0; i < 4; ++i) b.scales_l[i] = static_cast<uint8_t>(low[i]);
  b.scales_h = static_cast<uint16_t>(high);
  b.d = get16(t.head);
}

// Calls fn(Block{}, elements a block) for the block of a type.
template <typename Fn>
void with_block(DType t, Fn&& fn) {
  switch (t) {
    case DType::q4_0: return fn(BlockQ4_0{}, 32);
    case DType::q4_1: return fn(BlockQ4_1{}, 32);
    case DType::q5_0: return fn(BlockQ5_0{}, 32);
    case DType::q5_1: return fn(BlockQ5_1{}, 32);
    case DType::q8_0: return fn(BlockQ8_0{}, 32);
    case DType::iq4_nl: return fn(BlockIQ4_NL{}, 32);
    case DType::mxfp4: return fn(BlockMXFP4{}, 32);
    case DType::nvfp4: return fn(BlockNVFP4{}, 64);
    case DType::q2_k: return fn(BlockQ2_K{}, 256);
    case DType::q3_k: return fn(BlockQ3_K{}, 256);
    case DType::q4_k: return fn(BlockQ4_K{}, 256);
    case DType::q5_k: return fn(BlockQ5_K{}, 256);
    case DType::q6_k: return fn(BlockQ6_K{}, 256);
    case DType::iq4_xs: return fn(BlockIQ4_XS{}, 256);
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

}  // namespace

void read_tile(DType t, const std::byte* row, int64_t k0, int64_t k, LaneTile& lane) {
  with_block(t, [&](auto b, int64_t elems) {
    for (int64_t i = 0; i < k; i += elems) {
      std::memcpy(&b, row + (k0 + i) / elems * static_cast<int64_t>(sizeof b), sizeof b);
      read(b, static_cast<int>(i / kGroup), lane);
    }
  });
}

void write_tile(DType t, const LaneTile& lane, int64_t k0, int64_t k, std::byte* row) {
  with_block(t, [&](auto b, int64_t elems) {
    for (int64_t i = 0; i < k; i += elems) {
      write(lane, static_cast<int>(i / kGroup), b);
      std::memcpy(row + (k0 + i) / elems * static_cast<int64_t>(sizeof b), &b, sizeof b);
    }
  });
}

}  // namespace carat
