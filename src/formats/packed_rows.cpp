#include "formats/packed_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "formats/printable.h"
#include "formats/tensor_source.h"
#include "tensor/blocks.h"
#include "tensor/dequantise.h"

namespace carat {
namespace {

constexpr int64_t kStripBytes = int64_t{64} << 10;  // of codes at a time: the parts stay in the cache, and buffers small

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float float_at(DType type, const std::byte* data, int64_t i) {
  if (type == DType::f32) return load<float>(data + 4 * i);
  const auto half = load<uint16_t>(data + 2 * i);
  return type == DType::bf16 ? bf16_to_f32(half) : f16_to_f32(half);
}

// F8_E4M3: sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinities, 0x7F and 0xFF are NaN.
constexpr bool f8_is_nan(uint8_t v) { return (v & 0x7F) == 0x7F; }
float f8_to_f32(uint8_t v) {
  const int exponent = (v >> 3) & 15, mantissa = v & 7;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9) : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (v & 0x80) != 0 ? -magnitude : magnitude;
}

// 2n elements in file order (2i low, 2i + 1 high of byte i) -> the order of blocks: element j low, j + n high of byte j.
template <int n>
void to_block_order(const uint8_t* codes, uint8_t* qs) {
  for (int i = 0; i < n / 2; ++i) {
    qs[2 * i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + n / 2] << 4));
    qs[2 * i + 1] = static_cast<uint8_t>((codes[i] >> 4) | (codes[i + n / 2] & 0xF0));
  }
}

int code_at(const uint8_t* codes, int64_t i) { return i % 2 == 0 ? codes[i / 2] & 15 : codes[i / 2] >> 4; }

class PackedRows final : public TensorSource {
 public:
  PackedRows(PackedMatrix m, DType type) : m_(std::move(m)), type_(type), one_scale_(m_.scales.elements() == 1) {}

  void read_rows(int64_t row0, int64_t n, std::byte* out) const override {
    const int64_t code_bytes = m_.codes.bytes_per_row(), out_bytes = row_bytes(type_, m_.cols);
    const int64_t strip = std::max<int64_t>(1, kStripBytes / code_bytes);
    std::vector<std::byte> codes, scales, zeros;
    for (const int64_t end = row0 + n; row0 < end; row0 += strip) {
      const int64_t count = std::min(strip, end - row0);
      read(m_.codes, row0, count, codes);
      one_scale_ ? read(m_.scales, 0, 1, scales) : read(m_.scales, row0, count, scales);
      const bool packed_zeros = m_.zeros && m_.zeros->dtype == DType::i32;
      if (packed_zeros) read(*m_.zeros, row0 / 8, (row0 + count + 7) / 8 - row0 / 8, zeros);
      if (m_.zeros && !packed_zeros) one_scale_ ? read(*m_.zeros, 0, 1, zeros) : read(*m_.zeros, row0, count, zeros);
      for (int64_t r = 0; r < count; ++r, out += out_bytes) {
        Row row{reinterpret_cast<const uint8_t*>(codes.data() + r * code_bytes), scales.data(), zeros.data(), row0 + r};
        if (!one_scale_) row.scales += r * m_.scales.bytes_per_row();
        if (packed_zeros) row.zeros += ((row0 + r) / 8 - row0 / 8) * m_.zeros->bytes_per_row();
        if (m_.zeros && !packed_zeros && !one_scale_) row.zeros += r * m_.zeros->bytes_per_row();
        make(row, out);
      }
    }
  }

 private:
  struct Row {
    const uint8_t* codes;
    const std::byte* scales;
    const std::byte* zeros;
    int64_t row;
  };

  static void read(const TensorInfo& t, int64_t row0, int64_t n, std::vector<std::byte>& to) {
    to.resize(static_cast<size_t>(n * t.bytes_per_row()));
    t.read_rows(row0, n, to.data());
  }

  void make(const Row& row, std::byte* out) const {
    switch (type_) {
      case DType::q4_0: return blocks<BlockQ4_0>(row, 32, out);
      case DType::q5_0: return blocks<BlockQ5_0>(row, 32, out);
      case DType::mxfp4: return blocks<BlockMXFP4>(row, 32, out);
      case DType::nvfp4: return blocks<BlockNVFP4>(row, 64, out);
      default: return values(row, out);
    }
  }
  template <typename Block>
  void blocks(const Row& row, int64_t elements, std::byte* out) const {
    for (int64_t first = 0; first < m_.cols; first += elements, out += sizeof(Block)) {
      Block block;
      fill(row, first, block);
      std::memcpy(out, &block, sizeof block);
    }
  }

  void fill(const Row& row, int64_t first, BlockQ4_0& block) const {
    block.d = f32_to_f16(scale(row, first));
    to_block_order<16>(row.codes + first / 2, block.qs);
  }
  // code - zero lies in -15..15, so that 5 bits hold any of them. A block lies within one group.
  void fill(const Row& row, int64_t first, BlockQ5_0& block) const {
    block.d = f32_to_f16(scale(row, first));
    uint8_t codes[16];
    to_block_order<16>(row.codes + first / 2, codes);
    const int shift = 16 - zero(row, first);
    uint32_t high = 0;
    for (int j = 0; j < 16; ++j) {
      const int a = (codes[j] & 15) + shift, b = (codes[j] >> 4) + shift;
      block.qs[j] = static_cast<uint8_t>((a & 15) | ((b & 15) << 4));
      high |= static_cast<uint32_t>(a >> 4) << j | static_cast<uint32_t>(b >> 4) << (j + 16);
    }
    std::memcpy(block.qh, &high, sizeof high);
  }
  void fill(const Row& row, int64_t first, BlockMXFP4& block) const {
    block.e = std::to_integer<uint8_t>(row.scales[first / 32]);
    if (block.e == 0xFF) not_a_number(row.row);
    to_block_order<16>(row.codes + first / 2, block.qs);
  }
  // Blocks have scales without a sign: a negative one turns the signs of its codes.
  void fill(const Row& row, int64_t first, BlockNVFP4& block) const {
    for (int run = 0; run < 4; ++run) {
      const auto d = std::to_integer<uint8_t>(row.scales[first / 16 + run]);
      if (f8_is_nan(d)) not_a_number(row.row);
      block.d[run] = d & 0x7F;
      uint8_t* qs = block.qs + 8 * run;
      to_block_order<8>(row.codes + first / 2 + 8 * run, qs);
      if ((d & 0x80) != 0)
        for (int j = 0; j < 8; ++j) qs[j] ^= 0x88;
    }
  }

  void values(const Row& row, std::byte* out) const {
    const bool int4 = m_.form == PackedForm::int4;
    const float factor = m_.factors.empty() ? 1.0f : m_.factors[static_cast<size_t>(row.row / (m_.rows / static_cast<int64_t>(m_.factors.size())))];
    for (int64_t i = 0; i < m_.cols; ++i) {
      const int code = code_at(row.codes, i);
      const float s = scale(row, i);
      // nvfp4: the first product is exact (6 bits), the second is rounded once.
      const float value = int4 ? static_cast<float>(code - zero(row, i)) * s : static_cast<float>(kE2m1Doubled[code]) * (0.5f * s) * factor;
      std::memcpy(out + 4 * i, &value, sizeof value);
    }
  }

  float scale(const Row& row, int64_t i) const {
    const int64_t group = one_scale_ ? 0 : i / m_.group;
    if (m_.form == PackedForm::int4) return float_at(m_.scales.dtype, row.scales, group);
    const auto d = std::to_integer<uint8_t>(row.scales[group]);
    if (f8_is_nan(d)) not_a_number(row.row);
    return f8_to_f32(d);
  }
  int zero(const Row& row, int64_t i) const {
    if (!m_.zeros) return 8;
    const int64_t group = one_scale_ ? 0 : i / m_.group;
    if (m_.zeros->dtype == DType::i8) {
      const int z = load<int8_t>(row.zeros + group) + 8;
      if (z < 0 || z > 15)
        fail(ErrorCode::corrupt, "{}: tensor {}: row {}: {} is no 4-bit zero point; the file is damaged", m_.zeros->file->name(), printable(m_.zeros->name),
             row.row, z - 8);
      return z;
    }
    return static_cast<int>(load<uint32_t>(row.zeros + 4 * group) >> (4 * (row.row % 8)) & 15);
  }

  [[noreturn]] void not_a_number(int64_t row) const {
    fail(ErrorCode::corrupt, "{}: tensor {}: row {}: a scale is not a number; the file is damaged", m_.scales.file->name(), printable(m_.scales.name), row);
  }

  PackedMatrix m_;
  DType type_;
  bool one_scale_;
};

// Is every scale exact in f16? Fails with corrupt if one is not finite.
bool exact_in_f16(const TensorInfo& scales) {
  constexpr uint32_t kFirst = 113u << 23, kEnd = 143u << 23;  // the exponents of normal f16 numbers
  const int64_t size = info(scales.dtype).block_bytes;
  const int64_t strip = std::max<int64_t>(1, (int64_t{1} << 18) / scales.bytes_per_row());
  std::vector<std::byte> bytes;
  bool exact = true;
  for (int64_t row = 0; row < scales.rows(); row += strip) {
    const int64_t n = std::min(strip, scales.rows() - row);
    bytes.resize(static_cast<size_t>(n * scales.bytes_per_row()));
    scales.read_rows(row, n, bytes.data());
    const auto count = static_cast<int64_t>(bytes.size()) / size;
    if (scales.dtype == DType::bf16) {  // the common case, and there are up to a thousand million: without a branch
      bool ordinary = true;
      for (int64_t i = 0; i < count; ++i) {
        const uint32_t magnitude = static_cast<uint32_t>(load<uint16_t>(bytes.data() + 2 * i) & 0x7FFFu) << 16;
        ordinary &= (magnitude - kFirst < kEnd - kFirst) | (magnitude == 0);
      }
      if (ordinary) continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      const float s = float_at(scales.dtype, bytes.data(), i);
      if (!std::isfinite(s))
        fail(ErrorCode::corrupt, "{}: tensor {}: element {}: {} is no finite scale; the file is damaged", scales.file->name(), printable(scales.name),
             row * scales.cols() + i, s);
      exact &= f16_to_f32(f32_to_f16(s)) == s;
    }
  }
  return exact;
}

}  // namespace

DType exact_type(const PackedMatrix& m) {
  switch (m.form) {
    case PackedForm::nvfp4: return m.cols % 64 == 0 ? DType::nvfp4 : DType::f32;
    case PackedForm::mxfp4: return DType::mxfp4;
    case PackedForm::int4: break;
  }
  const bool exact = exact_in_f16(m.scales);  // in any case: it looks for what is not finite
  if (!exact || m.cols % 32 != 0 || m.group % 32 != 0) return DType::f32;
  return m.zeros ? DType::q5_0 : DType::q4_0;
}

std::shared_ptr<const TensorSource> packed_rows(PackedMatrix matrix, DType type) { return std::make_shared<PackedRows>(std::move(matrix), type); }

}  // namespace carat
