#include "quant/encode.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "quant/encode_blocks.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

template <typename Bits, typename Convert>
void convert(const float* x, int64_t n, std::byte* out, Convert to) {
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = to(x[i]);
    std::memcpy(out + i * static_cast<int64_t>(sizeof bits), &bits, sizeof bits);
  }
}

// plain: what the type does without importance is the reference's rule, not a search.
template <typename Block, bool kPlain>
void encode_blocks(DType t, const float* x, int64_t n, const float* importance, std::byte* out) {
  constexpr int kMost = 256;
  const int elems = info(t).block_elems;
  float w[kMost];
  std::fill_n(w, kMost, 1.0f);
  // A column nobody saw still has to be kept: it counts a little.
  float least = 0;
  if (importance) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(importance[i]);
    least = static_cast<float>(sum / static_cast<double>(n) * 1e-3);
    if (!(least > 0)) importance = nullptr;
  }
  for (int64_t i = 0; i < n; i += elems, out += sizeof(Block)) {
    if (importance)
      for (int j = 0; j < elems; ++j) w[j] = importance[i + j] + least;
    Block block;
    encode_block(block, x + i, kPlain && !importance ? nullptr : w);
    std::memcpy(out, &block, sizeof block);
  }
}

}  // namespace

bool encodable(DType t) { return is_float(t) || is_quantised(t); }

void encode_row(DType t, const float* x, int64_t n, const float* importance, std::byte* out) {
  check(n >= 0 && n % info(t).block_elems == 0, "encode_row: the count is no multiple of the block size");
  switch (t) {
    case DType::f32: std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float)); return;
    case DType::f16: return convert<uint16_t>(x, n, out, f32_to_f16);
    case DType::bf16: return convert<uint16_t>(x, n, out, f32_to_bf16);
    case DType::q4_0: return encode_blocks<BlockQ4_0, true>(t, x, n, importance, out);
    case DType::q4_1: return encode_blocks<BlockQ4_1, true>(t, x, n, importance, out);
    case DType::q5_0: return encode_blocks<BlockQ5_0, true>(t, x, n, importance, out);
    case DType::q5_1: return encode_blocks<BlockQ5_1, true>(t, x, n, importance, out);
    case DType::q8_0: return encode_blocks<BlockQ8_0, true>(t, x, n, importance, out);
    case DType::q2_k: return encode_blocks<BlockQ2_K, false>(t, x, n, importance, out);
    case DType::q3_k: return encode_blocks<BlockQ3_K, false>(t, x, n, importance, out);
    case DType::q4_k: return encode_blocks<BlockQ4_K, false>(t, x, n, importance, out);
    case DType::q5_k: return encode_blocks<BlockQ5_K, false>(t, x, n, importance, out);
    case DType::q6_k: return encode_blocks<BlockQ6_K, false>(t, x, n, importance, out);
    case DType::iq4_nl: return encode_blocks<BlockIQ4_NL, false>(t, x, n, importance, out);
    case DType::iq4_xs: return encode_blocks<BlockIQ4_XS, false>(t, x, n, importance, out);
    case DType::mxfp4: return encode_blocks<BlockMXFP4, true>(t, x, n, importance, out);
    case DType::nvfp4: return encode_blocks<BlockNVFP4, false>(t, x, n, importance, out);
    case DType::i8:
    case DType::i32:
    case DType::i64:
    case DType::u8:
    case DType::boolean:
    case DType::f8_e4m3: break;
  }
  fail(ErrorCode::internal, "encode_row: {} cannot be written", info(t).name);
}

}  // namespace carat::quant
