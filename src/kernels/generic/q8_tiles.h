#pragma once
// Cache tiles in q8: int8 with an f32 scale for every 32 head dims of a position. Read, they are turned into f32 tiles first (scale * q, rounded once), so that
// attention over them is the attention over f32 tiles; written, a head's values are quantised as rows of activations are (quantise_rows).
//   K tile: q [head_dim][32], then scales [head_dim / 32][32].   V tile: q [32][head_dim], then scales [32][head_dim / 32].
#include <cstddef>
#include <cstdint>

#include "kernels/generic/quantise_rows.h"
#include "kernels/kernels.h"

namespace carat::kernels {

// out[i] = scale[i] * q[i], 16 at a time; the scales of K differ from lane to lane, those of V do not.
template <class S, bool K>
void expand_q8_tile(const std::byte* tile, int64_t head_dim, float* out) {
  const int8_t* q = reinterpret_cast<const int8_t*>(tile);
  const std::byte* scales = tile + head_dim * kTilePositions;
  const int64_t groups = head_dim / kGroup, rows = K ? head_dim : kTilePositions, cols = K ? kTilePositions : head_dim;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; c += kGroup) {
      float scale[kGroup];
      if constexpr (K) {
        __builtin_memcpy(scale, scales + (r / kGroup) * kTilePositions * 4, sizeof scale);
      } else {
        float one;
        __builtin_memcpy(&one, scales + (r * groups + c / kGroup) * 4, 4);
        for (int64_t i = 0; i < kGroup; ++i) scale[i] = one;
      }
      for (int64_t i = 0; i < kGroup; i += kLanes) S::store(out + r * cols + c + i, S::mul(S::load(scale + i), S::to_f32(S::load_i8(q + r * cols + c + i))));
    }
}

template <class S, bool K>
void store_q8(const float* x, int64_t head_dim, int64_t slot, std::byte* tile) {
  int8_t q[kMaxHeadDim];
  float scale[kMaxHeadDim / kGroup];
  int32_t sum16[kMaxHeadDim / 16];
  quantise_rows<S>(x, head_dim, 1, head_dim, q, scale, sum16);
  std::byte* scales = tile + head_dim * kTilePositions;
  const int64_t groups = head_dim / kGroup;
  if constexpr (K) {
    for (int64_t d = 0; d < head_dim; ++d) __builtin_memcpy(tile + d * kTilePositions + slot, q + d, 1);
    for (int64_t g = 0; g < groups; ++g) __builtin_memcpy(scales + (g * kTilePositions + slot) * 4, scale + g, 4);
  } else {
    __builtin_memcpy(tile + slot * head_dim, q, static_cast<size_t>(head_dim));
    __builtin_memcpy(scales + slot * groups * 4, scale, static_cast<size_t>(groups) * 4);
  }
}

}  // namespace carat::kernels
