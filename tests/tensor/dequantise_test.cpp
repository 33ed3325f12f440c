#include "tensor/dequantise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "tensor/blocks.h"

namespace carat {
namespace {

uint32_t bits(float f) { return std::bit_cast<uint32_t>(f); }

// tests/tensor/data/dequant_cases.bin: blocks of every type and what the reference decoder (PyPI gguf) makes of them.
TEST(Dequantise, EqualsTheReferenceBitForBit) {
  const std::string text = read_text_file(std::string(CARAT_SOURCE_DIR) + "/tests/tensor/data/dequant_cases.bin", 1 << 20);
  std::set<DType> seen;
  size_t at = 0;
  while (at < text.size()) {
    uint32_t head[2];
    ASSERT_LE(at + sizeof head, text.size());
    std::memcpy(head, text.data() + at, sizeof head);
    at += sizeof head;
    const auto type = dtype_from_ggml(head[0]);
    ASSERT_TRUE(type.has_value()) << head[0];
    const DTypeInfo& di = info(*type);
    const auto elems = static_cast<int64_t>(head[1]) * di.block_elems;
    const size_t block_bytes = size_t{head[1]} * static_cast<size_t>(di.block_bytes);
    ASSERT_LE(at + block_bytes + 4 * static_cast<size_t>(elems), text.size());
    std::vector<float> got(static_cast<size_t>(elems), 12345.0f), want(static_cast<size_t>(elems));
    // One byte past an even address: files give no promise about alignment.
    std::vector<std::byte> odd(block_bytes + 1);
    std::memcpy(odd.data() + 1, text.data() + at, block_bytes);
    std::memcpy(want.data(), text.data() + at + block_bytes, 4 * want.size());
    dequantise(*type, odd.data() + 1, got.data(), elems);
    at += block_bytes + 4 * want.size();
    for (size_t i = 0; i < want.size(); ++i) {
      if (std::isnan(want[i])) {
        ASSERT_TRUE(std::isnan(got[i])) << di.name << " element " << i;
        continue;
      }
      ASSERT_EQ(bits(got[i]), bits(want[i])) << di.name << " element " << i << ": " << got[i] << " instead of " << want[i];
    }
    seen.insert(*type);
  }
  for (int i = static_cast<int>(DType::q4_0); i < kNumDTypes; ++i)
    EXPECT_TRUE(seen.contains(static_cast<DType>(i))) << "no case for " << info(static_cast<DType>(i)).name;
  EXPECT_TRUE(seen.contains(DType::f16) && seen.contains(DType::bf16));
}

TEST(Dequantise, F32IsCopiedBitForBit) {
  const float in[3] = {1.5f, -0.0f, std::numeric_limits<float>::denorm_min()};
  float out[3];
  dequantise(DType::f32, reinterpret_cast<const std::byte*>(in), out, 3);
  EXPECT_EQ(std::memcmp(in, out, sizeof in), 0);
}

TEST(Dequantise, RefusesTypesThatAreNoWeights) {
  std::byte in[32] = {};
  float out[32];
  EXPECT_THROW(dequantise(DType::i32, in, out, 1), Error);
  EXPECT_THROW(dequantise(DType::q8_0, in, out, 31), Error);
}

TEST(Halves, EveryF16GoesThereAndBack) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = f16_to_f32(static_cast<uint16_t>(h));
    const uint16_t back = f32_to_f16(f);
    if (std::isnan(f)) {
      EXPECT_EQ(back & 0x7C00, 0x7C00);
      EXPECT_NE(back & 0x3FF, 0);
    } else {
      ASSERT_EQ(back, h);
    }
    const double magnitude = (h & 0x7C00) == 0 ? std::ldexp(h & 0x3FF, -24) : std::ldexp(1024 + (h & 0x3FF), static_cast<int>((h >> 10) & 31) - 25);
    if ((h & 0x7C00) != 0x7C00) {
      ASSERT_EQ(static_cast<double>(f), (h & 0x8000) != 0 ? -magnitude : magnitude) << h;
    }
  }
}

TEST(Halves, RoundingIsToNearestEven) {
  // Between every two neighbours: the middle goes to the even one, anything beside it to its own side.
  for (uint32_t h = 0; h < 0x7BFF; ++h) {
    const double a = f16_to_f32(static_cast<uint16_t>(h)), b = f16_to_f32(static_cast<uint16_t>(h + 1));
    const auto middle = static_cast<float>((a + b) / 2);  // exact
    const auto even = static_cast<uint16_t>(h % 2 == 0 ? h : h + 1);
    ASSERT_EQ(f32_to_f16(middle), even) << h;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), h);
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), h + 1);
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(1e30f), 0x7C00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xFC00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Halves, Bf16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3F80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);  // middle, even below
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);  // middle, even above
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F7FFFFFu)), 0x7F80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001u)))));
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = bf16_to_f32(static_cast<uint16_t>(h));
    if (!std::isnan(f)) {
      ASSERT_EQ(f32_to_bf16(f), h);
    }
  }
}

TEST(DTypes, TableAgreesWithTheBlocks) {
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    const DTypeInfo& di = info(t);
    EXPECT_GT(di.block_elems, 0);
    EXPECT_GT(di.block_bytes, 0);
    if (di.ggml_id >= 0) {
      EXPECT_EQ(dtype_from_ggml(di.ggml_id), t);
    }
    if (!di.st_name.empty()) {
      EXPECT_EQ(dtype_from_safetensors(di.st_name), t);
    }
  }
  EXPECT_EQ(info(DType::q4_k).block_bytes, static_cast<int>(sizeof(BlockQ4_K)));
  EXPECT_EQ(info(DType::nvfp4).block_bytes, static_cast<int>(sizeof(BlockNVFP4)));
  EXPECT_FALSE(dtype_from_ggml(-1).has_value());
  EXPECT_FALSE(dtype_from_ggml(4).has_value());
  EXPECT_FALSE(dtype_from_ggml(int64_t{1} << 32).has_value());
  EXPECT_FALSE(dtype_from_safetensors("").has_value());
  EXPECT_EQ(ggml_type_name(17), "IQ2_XS");
  EXPECT_EQ(ggml_type_name(99), "?");
}

}  // namespace
}  // namespace carat
