#pragma once
// The kernels of one instruction set behind one table. `scalar` is the specification: every other table gives the same bits (memcmp).
//
// Common rules. Outputs are in lanes: a panel is 16 outputs of a matrix, k walks upwards, there is no horizontal sum over k. Every fused multiply-add
// is written as one (fma below), contraction is off, exp and tanh are ours (kernels/generic/math.h). A result for a row never depends on how many rows are
// computed with it. Where a sum over a row is unavoidable (norms, softmax): 16 strided partial sums, then the fixed tree ((0+8)+(4+12))+... of reduce_add().
// Equal bits means: of every number; that a result is NaN is the same everywhere, its payload is not. max(a, b) is a > b ? a : b.
// No kernel allocates, throws, or calls a std:: function. matmul_quant wants about 200 KiB of stack for its block of sums. Panels are prefetched beyond their
// end, never read there. Pointers need no alignment unless said; `out` never overlaps an input unless said.
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/panel.h"

namespace carat::kernels {

using carat::kGroup;                       // elements that share a scale, in quantised rows too
using carat::kLanes;                       // outputs a panel
using carat::kTileK;                       // k of one unpacked tile of a panel
inline constexpr int kTilePositions = 32;  // positions a K/V tile
inline constexpr int kSplit = 256;         // positions a split of attention; splits count from position 0
inline constexpr int kMaxHeadDim = 1024;
inline constexpr int kReadWays = 3;  // of read_bytes

// Rows of activations as int8, in one of two forms: the type of the matrix decides which (is_superblock). sum16[r][h] = sum of 16 consecutive q. A NaN or an inf among
// the elements of a scale -> scale NaN, q 0: a broken row shows in every product.
//   Block types: k is a multiple of 32; scale[r][k / 32] = amax / 127 over the 32 elements, q = round to nearest even (x * (127 / amax)); amax 0 (or 127 / amax too
//   large for f32) -> scale 0, q 0. value = scale * q. shift is null.
//   Superblock types: k is a multiple of 256. Over a tile of 256 elements, a = amax / 127 and inverse = 127 / amax as above, scale[r][k / 256] = a / 8. A group of 32 has
//   its own eighths of that: factor[r][k / 32] = f, the smallest of 1..8 for which the group's amax <= f / 8 * the tile's; q = round(x * (inverse * (8 / f))).
//   value = scale * (q * factor).
struct QuantRows {
  const int8_t* q = nullptr;       // [rows][k]
  const float* scale = nullptr;    // [rows][k / 32] or [rows][k / 256]
  const int32_t* sum16 = nullptr;  // [rows][k / 16]
  int64_t rows = 0;
  int64_t k = 0;
  // superblock types only
  const uint8_t* factor = nullptr;  // [rows][k / 32]
  const int32_t* pair16 = nullptr;  // [rows][k / 32]: two int16, the sums of the group's halves * factor, the first in the lower half
  const int32_t* pair32 = nullptr;  // [rows][k / 64]: the same of two groups
};

// Rows [first, first + n) of x.
constexpr QuantRows rows_of(const QuantRows& x, int64_t first, int64_t n) {
  const int64_t at = first * x.k;
  QuantRows part = x;
  part.q += at, part.sum16 += at / 16, part.scale += at / (x.factor ? kTileK : kGroup), part.rows = n;
  if (x.factor) part.factor += at / kGroup, part.pair16 += at / kGroup, part.pair32 += at / (2 * kGroup);
  return part;
}

// Where quantise_tiles writes: the arrays of QuantRows.
struct TileRows {
  int8_t* q;
  float* scale;
  int32_t* sum16;
  uint8_t* factor;
  int32_t* pair16;
  int32_t* pair32;
};

// Types whose 256 elements share float factors and whose parts (16 or 32 elements) have integer scales.
constexpr bool is_superblock(DType t) {
  return t == DType::q2_k || t == DType::q3_k || t == DType::q4_k || t == DType::q5_k || t == DType::q6_k || t == DType::iq4_xs;
}

// out[r][16 p + lane] for panels p in [panel_begin, panel_end), columns >= n are not written.
// c: the integer code of an element, offset already taken off (Q5_0's is -16..15). All sums of products are exact in int32.
// Block types: weight = s * c (+ m for Q4_1, Q5_1), s the f32 scale of a group of 32. An output and a row: acc = 0; for each group ascending
//   acc = fma(float(sum c*q), s * as, acc), with a minimum also acc = fma(float(sum q) * as, m, acc).   NVFP4, a scale every 16: twice, lower half first.
// Superblock types: weight = d * sc * c - dmin * m, sc and m the integers of a part (32 elements; Q2_K, Q3_K, Q6_K: 16). acc = 0; for each tile of 256 ascending
//   S = sum over parts of (sc * factor) * sum c*q, M = sum over parts of m * (factor * sum q); v = d * float(S), with minima fma(d, float(S), -dmin * float(M));
//   acc = fma(v, as, acc).
// Finally out = acc * w_scale when w_scale != 1 (NVFP4's separate factor).
struct QuantMatmul {
  DType dtype = DType::q8_0;
  const std::byte* panels = nullptr;  // panel p at panels + p * panel_bytes(dtype, k)
  int64_t n = 0;                      // outputs of the matrix
  int64_t panel_begin = 0, panel_end = 0;
  QuantRows x;
  float w_scale = 1.0f;
  float* out = nullptr;  // [x.rows][ldo]
  int64_t ldo = 0;
  int64_t column0 = 0;  // the output that out[0] is
};

// Dense panels (f32, f16, bf16): acc = fma(w[k][lane], x[r][k], acc), k ascending from acc = 0; weights widened exactly.
struct DenseMatmul {
  DType dtype = DType::f32;
  const std::byte* panels = nullptr;  // [panel][k][16]
  int64_t n = 0;
  int64_t panel_begin = 0, panel_end = 0;
  const float* x = nullptr;  // [rows][ldx]
  int64_t ldx = 0;
  int64_t rows = 0, k = 0;
  float* out = nullptr;  // [rows][ldo]
  int64_t ldo = 0;
  int64_t column0 = 0;
};

// For layers whose K equals V before norm and rope: the cache keeps n = RMSNorm(k_proj h) only (V = n), K = rope(w * n) is rebuilt when read.
// Rotated pairs are (i, i + head_dim / 2) for i < rotary_pairs. cos/sin of position 32 t + j: c = cb*co - sb*so, s = sb*co + cb*so (products rounded, no fma).
struct OneTensor {
  const float* w = nullptr;  // [head_dim] k_norm
  int32_t rotary_pairs = 0;
  const float* cos_base = nullptr;  // [tile][rotary_pairs], tile counted from position 0
  const float* sin_base = nullptr;
  const float* cos_offset = nullptr;  // [rotary_pairs][32]
  const float* sin_offset = nullptr;
};

// One split of attention for some query rows that share a kv head and a cache. Row r sees positions [lo[r], hi[r]); others are *replaced* (score -inf, weight 0,
// never multiplied: their bytes may be anything, NaN included).
// Scores: s = sum over d ascending of fma(K[d][pos], q[d], s) from 0 (one tensor: turned dims first: i ascending, K_i then K_{i+half}; then the others in d order
// with q[d] * w[d] made once a row). Softmax over the visible part of the split: m = max; p = exp(s - m); l = sum of p in 16 strided lanes over the 256 positions
// (position - split start mod 16) + tree; o[d] = sum over visible positions ascending of fma(p, V[pos][d], o) from 0 (one tensor: for each d 16 strided lanes over
// the positions of the split, then the tree).
// A row with nothing visible gets m = -inf, l = 0, o untouched.
struct AttendSplit {
  DType kv_dtype =
      DType::f16;  // f16, f32, or q8_0: int8 with a scale for every 32 dims of a position (generic/q8_tiles.h), read as scale * q; head_dim a multiple of 32
  int32_t head_dim = 0;  // multiple of 2, at most kMaxHeadDim
  int32_t rows = 0;
  const float* const* q = nullptr;  // [rows] -> [head_dim], already multiplied by the attention scale
  const int32_t* lo = nullptr;      // [rows]
  const int32_t* hi = nullptr;      // [rows]
  int32_t split = 0;                // positions [256 split, 256 split + 256)
  // Tile t of the split (t in 0..7) covers positions 256 split + 32 t ... + 31. Null where no row sees anything.
  const std::byte* const* k_tiles = nullptr;       // [8] -> K [head_dim][32] (one tensor: n)
  const std::byte* const* v_tiles = nullptr;       // [8] -> V [32][head_dim] (one tensor: unused)
  const std::byte* const* next_k_tiles = nullptr;  // [8] of the split that the same thread computes next, to be fetched meanwhile; null where there is none
  const OneTensor* one = nullptr;                  // null for ordinary layers
  float* m = nullptr;                              // [rows]
  float* l = nullptr;                              // [rows]
  float* const* o = nullptr;                       // [rows] -> [head_dim]
  float* scratch = nullptr;                        // attend_scratch_floats(rows, head_dim, kv_dtype)
};
// Scratch of one attend_split call, in floats.
int64_t attend_scratch_floats(int64_t rows, int64_t head_dim, DType kv_dtype);

struct KernelTable {
  const char* name;  // "scalar", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "neon", "neon_dotprod", "neon_i8mm"

  void (*quantise_rows)(const float* x, int64_t ldx, int64_t rows, int64_t k, int8_t* q, float* scale, int32_t* sum16);  // for block types
  void (*quantise_tiles)(const float* x, int64_t ldx, int64_t rows, int64_t k, const TileRows& out);                     // for superblock types
  void (*matmul_quant)(const QuantMatmul& a);
  void (*matmul_dense)(const DenseMatmul& a);

  // y = x * rsqrt(mean(x^2) + eps) * w ; w null: no multiply. mean by strided sums of fma(x, x, s). 1/sqrt as 1.0f / sqrtf (both correctly rounded). out may be x.
  void (*rms_norm)(const float* x, const float* w, float eps, int64_t n, float* out);
  // out = x + RMSNorm(h) * w. out may be x or h. Same bits as rms_norm followed by add.
  void (*add_rms_norm)(const float* x, const float* h, const float* w, float eps, int64_t n, float* out);
  // One head in place: pairs (i, i + half), i < rotary_pairs: (a, b) -> (a c - b s, b c + a s), products rounded, no fma.
  void (*rope)(float* head, int64_t half, int64_t rotary_pairs, const float* cos, const float* sin);
  void (*add)(const float* a, const float* b, int64_t n, float* out);  // out may be a or b
  void (*mul)(const float* a, const float* b, int64_t n, float* out);
  void (*scale)(const float* a, float s, int64_t n, float* out);
  void (*axpy)(const float* x, float s, int64_t n, float* y);                   // y = fma(s, x, y)
  void (*gelu_mul)(const float* gate, const float* up, int64_t n, float* out);  // gelu_tanh(gate) * up; out may be gate or up
  void (*softcap)(float* x, float cap, int64_t n);                              // x = cap * tanh(x / cap)
  void (*softmax)(float* x, int64_t n);                                         // in place, max taken off first

  void (*attend_split)(const AttendSplit& a);
  // (m, l, o) of a split into the running (m, l, o), ascending splits. m_split = -inf: nothing changes. Running m = -inf: takes over.
  // mn = max(m, ms); a = exp(m - mn); b = exp(ms - mn); l = fma(ls, b, l * a); o = fma(os, b, o * a).
  void (*attend_merge)(float ms, float ls, const float* os, int64_t head_dim, float* m, float* l, float* o);
  // o / l ; l = 0 gives 0.
  void (*attend_finish)(float l, int64_t head_dim, float* o);

  // One position of one kv head into its tiles, f16 (round to nearest even), q8_0 (as quantise_rows) or f32. slot = position % 32.
  void (*store_k)(const float* k, int64_t head_dim, DType kv_dtype, int64_t slot, std::byte* tile);  // K or n: [head_dim][32]
  void (*store_v)(const float* v, int64_t head_dim, DType kv_dtype, int64_t slot, std::byte* tile);  // [32][head_dim]

  // What this instruction set can do at best, one thread. The first two give the operations they did (2 a multiply-add), in registers.
  int64_t (*spin_f32)(int64_t turns);                          // multiply-adds
  int64_t (*spin_int8)(int64_t turns);                         // dots of bytes, widened to int32 at every step; turns at most 2^24
  void (*read_bytes)(const std::byte* p, int64_t n, int way);  // n a multiple of 4096; way below kReadWays: the same bytes in another order of access
};

// The tables built into this program that this CPU can run, best last; `scalar` is always first.
struct TableList {
  const KernelTable* tables[16];
  int count;
};
TableList available_tables();
// The best table, or the one named ("avx2"); empty name = best. Null if the name is unknown or the CPU lacks it.
const KernelTable* find_table(const char* name);
// The best table with another matmul_dense for bf16 panels: activations are rounded to bf16 (nearest even) and pairs of k are multiplied by the CPU's own dots of
// bf16, which take subnormals for 0. Not the bits of `scalar`, but a row's are still its own: the same however many rows, panels or threads compute with it.
// Null where the CPU lacks AVX-512 BF16. It is in no list above: one asks for it.
const KernelTable* fast_bf16_table();
// All names built into this program, also those this CPU cannot run (for messages), space separated.
const char* built_tables();

}  // namespace carat::kernels
