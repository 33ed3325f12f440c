#pragma once
// The vocabulary of the kernels in plain C++: 16 lanes of f32 or i32, 64 bytes of codes. This is the meaning; the other headers spell the same operations.
// Each function is one operation of IEEE arithmetic a lane (or exact integer work), so every spelling gives the same bits.
#include <cstddef>
#include <cstdint>

namespace carat::kernels {

struct Scalar {
  static constexpr int kQuantRows = 1;  // register tiles: rows x panels
  static constexpr int kQuantPanels = 1;
  static constexpr int kSuperRows = 1;
  static constexpr int kSuperPanels = 1;
  static constexpr int kDenseRows = 1;
  static constexpr int kDensePanels = 1;
  static constexpr int kDecodePanels = 1;  // panels in flight when there is one row
  static constexpr int kAttendRows = 1;
  static constexpr int kOneRows = 1;  // one-tensor output: rows x head dims
  static constexpr int kOneDims = 1;
  static constexpr bool kOneInstructionDot = false;  // a step of Dot is one instruction a vector
  // The vocabulary for codes from scratch and several rows: this one, or one that differs in kDotRows, zip_codes, load_q, Dot and ScaledDot only.
  using ManyRows = Scalar;
  // Rows that a dot multiplies at once: 1, or 2 whose sums start at 0. With two, codes lie in scratch as zip_codes leaves them (Format::unpack_codes), a pair of
  // steps takes the same 8 k of both rows, each of them for its half of the outputs.
  static constexpr int kDotRows = 1;
  // Largest number of products in a row that the dot's inner sums hold, given the largest code.
  static constexpr int flush_every(int) { return 1; }

  struct F32 {
    float v[16];
  };
  struct I32 {
    int32_t v[16];
  };
  struct U8 {
    uint8_t v[64];
  };
  struct Mask {
    bool v[16];
  };
  using Q = const int8_t*;

  template <typename F>
  static F32 map(F f) {
    F32 r;
    for (int i = 0; i < 16; ++i) r.v[i] = f(i);
    return r;
  }
  template <typename F>
  static I32 map_i(F f) {
    I32 r;
    for (int i = 0; i < 16; ++i) r.v[i] = f(i);
    return r;
  }
  template <typename F>
  static U8 map_b(F f) {
    U8 r;
    for (int i = 0; i < 64; ++i) r.v[i] = static_cast<uint8_t>(f(i));
    return r;
  }

  static float as_float(uint32_t b) { return __builtin_bit_cast(float, b); }
  static uint32_t as_bits(float f) { return __builtin_bit_cast(uint32_t, f); }
  template <typename T>
  static T read(const void* p, int64_t i) {
    T v;
    __builtin_memcpy(&v, static_cast<const char*>(p) + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return v;
  }

  static float widen_f16(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 0x3FFu;
    if (exponent == 31) return as_float(sign | 0x7F800000u | (mantissa << 13) | (mantissa != 0 ? 0x400000u : 0u));
    if (exponent != 0) return as_float(sign | ((exponent + 112u) << 23) | (mantissa << 13));
    return as_float(as_bits(static_cast<float>(mantissa) * 0x1p-24f) | sign);
  }
  static uint16_t narrow_f16(float f) {
    const uint32_t bits = as_bits(f), sign = (bits >> 16) & 0x8000u, mag = bits & 0x7FFFFFFFu;
    if (mag > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((mag >> 13) & 0x3FFu));
    if (mag >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);
    if (mag < 0x38800000u) return static_cast<uint16_t>(sign | (as_bits(as_float(mag) + 0.5f) - 0x3F000000u));
    return static_cast<uint16_t>(sign | ((mag + 0xFFFu + ((mag >> 13) & 1u) - 0x38000000u) >> 13));
  }

  // ---- f32
  static F32 zero() { return set1(0.0f); }
  static F32 set1(float x) {
    return map([&](int) { return x; });
  }
  static F32 load(const float* p) {
    return map([&](int i) { return read<float>(p, i); });
  }
  static void store(float* p, F32 a) { __builtin_memcpy(p, a.v, sizeof a.v); }
  // The first n lanes (0..16); the others are zero, respectively not written. No byte beyond them is touched.
  static F32 load_n(const float* p, int64_t n) {
    return map([&](int i) { return i < n ? read<float>(p, i) : 0.0f; });
  }
  static void store_n(float* p, F32 a, int64_t n) {
    for (int i = 0; i < n && i < 16; ++i) p[i] = a.v[i];
  }
  static F32 load_f16(const void* p) {
    return map([&](int i) { return widen_f16(read<uint16_t>(p, i)); });
  }
  static F32 load_f16_n(const void* p, int64_t n) {
    return map([&](int i) { return i < n ? widen_f16(read<uint16_t>(p, i)) : 0.0f; });
  }
  static F32 load_bf16(const void* p) {
    return map([&](int i) { return as_float(static_cast<uint32_t>(read<uint16_t>(p, i)) << 16); });
  }
  // Round to nearest even.
  static void store_f16(void* p, F32 a) { store_f16_n(p, a, 16); }
  static void store_f16_n(void* p, F32 a, int64_t n) {
    for (int i = 0; i < n && i < 16; ++i) {
      const uint16_t h = narrow_f16(a.v[i]);
      __builtin_memcpy(static_cast<char*>(p) + 2 * i, &h, 2);
    }
  }
  static F32 add(F32 a, F32 b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F32 sub(F32 a, F32 b) {
    return map([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F32 mul(F32 a, F32 b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F32 div(F32 a, F32 b) {
    return map([&](int i) { return a.v[i] / b.v[i]; });
  }
  static F32 fma(F32 a, F32 b, F32 c) {
    return map([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
  }
  static F32 max(F32 a, F32 b) {
    return map([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }  // b if either is NaN
  static F32 min(F32 a, F32 b) {
    return map([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }  // b if either is NaN
  static F32 neg(F32 a) {
    return map([&](int i) { return as_float(as_bits(a.v[i]) ^ 0x80000000u); });
  }
  static F32 abs(F32 a) {
    return map([&](int i) { return as_float(as_bits(a.v[i]) & 0x7FFFFFFFu); });
  }
  static F32 copy_sign(F32 magnitude, F32 sign) {
    return map([&](int i) { return as_float((as_bits(magnitude.v[i]) & 0x7FFFFFFFu) | (as_bits(sign.v[i]) & 0x80000000u)); });
  }
  static Mask range(int64_t begin, int64_t end) {  // lanes begin <= i < end
    Mask m;
    for (int i = 0; i < 16; ++i) m.v[i] = i >= begin && i < end;
    return m;
  }
  static F32 select(Mask m, F32 a, F32 b) {
    return map([&](int i) { return m.v[i] ? a.v[i] : b.v[i]; });
  }

  // ---- i32
  static I32 set1_i(int32_t x) {
    return map_i([&](int) { return x; });
  }
  static I32 add_i(I32 a, I32 b) {
    return map_i([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) + static_cast<uint32_t>(b.v[i])); });
  }
  static I32 sub_i(I32 a, I32 b) {
    return map_i([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) - static_cast<uint32_t>(b.v[i])); });
  }
  static I32 max_i(I32 a, I32 b) {
    return map_i([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static I32 and_i(I32 a, I32 b) {
    return map_i([&](int i) { return a.v[i] & b.v[i]; });
  }
  template <int N>
  static I32 shl_i(I32 a) {
    return map_i([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) << N); });
  }
  // a within int16, 0 <= n <= 127, and so the product
  static I32 mul_small(I32 a, int n) {
    return map_i([&](int i) { return a.v[i] * n; });
  }
  static I32 load_i(const int32_t* p) {
    return map_i([&](int i) { return read<int32_t>(p, i); });
  }
  static void store_i(int32_t* p, I32 a) { __builtin_memcpy(p, a.v, sizeof a.v); }
  // c + the two products of the lanes' halves, as int16
  static I32 dot_pairs(I32 a, I32 b, I32 c) {
    const auto half = [](int32_t x, int n) { return static_cast<int32_t>(static_cast<int16_t>(static_cast<uint32_t>(x) >> (16 * n))); };
    return map_i([&](int i) { return c.v[i] + half(a.v[i], 0) * half(b.v[i], 0) + half(a.v[i], 1) * half(b.v[i], 1); });
  }
  template <int N>
  static I32 sra_i(I32 a) {
    return map_i([&](int i) { return a.v[i] >> N; });
  }
  static Mask less_i(I32 a, I32 b) {
    Mask m;
    for (int i = 0; i < 16; ++i) m.v[i] = a.v[i] < b.v[i];
    return m;
  }
  static Mask equal_i(I32 a, I32 b) {
    Mask m;
    for (int i = 0; i < 16; ++i) m.v[i] = a.v[i] == b.v[i];
    return m;
  }
  static I32 bits(F32 a) {
    return map_i([&](int i) { return static_cast<int32_t>(as_bits(a.v[i])); });
  }
  static F32 from_bits(I32 a) {
    return map([&](int i) { return as_float(static_cast<uint32_t>(a.v[i])); });
  }
  static F32 to_f32(I32 a) {
    return map([&](int i) { return static_cast<float>(a.v[i]); });
  }
  static I32 load_u8(const void* p) {
    return map_i([&](int i) { return static_cast<int32_t>(read<uint8_t>(p, i)); });
  }
  static I32 load_i8(const void* p) {
    return map_i([&](int i) { return static_cast<int32_t>(read<int8_t>(p, i)); });
  }
  static void store_i8(int8_t* p, I32 a) {  // lanes are within -128..127
    for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(a.v[i]);
  }

  // ---- 64 bytes
  static U8 load_b(const void* p) {
    return map_b([&](int i) { return read<uint8_t>(p, i); });
  }
  static void store_b(void* p, U8 a) { __builtin_memcpy(p, a.v, sizeof a.v); }
  static U8 set1_b(uint8_t x) {
    return map_b([&](int) { return x; });
  }
  static U8 and_b(U8 a, U8 b) {
    return map_b([&](int i) { return a.v[i] & b.v[i]; });
  }
  static U8 or_b(U8 a, U8 b) {
    return map_b([&](int i) { return a.v[i] | b.v[i]; });
  }
  // (a & mask) | c
  static U8 and_or(U8 a, U8 mask, U8 c) {
    return map_b([&](int i) { return (a.v[i] & mask.v[i]) | c.v[i]; });
  }
  // Bits that come from a neighbouring byte are unspecified: mask them off.
  template <int N>
  static U8 shl_b(U8 a) {
    return map_b([&](int i) { return a.v[i] << N; });
  }
  template <int N>
  static U8 shr_b(U8 a) {
    return map_b([&](int i) { return a.v[i] >> N; });
  }
  // table: 16 bytes; indices are 0..15.
  static U8 lookup(const int8_t* table, U8 index) {
    return map_b([&](int i) { return table[index.v[i]]; });
  }

  // ---- the 4-way dot. Codes are made ready once (finish); the sum starts at -start_offset * (sum of the activations).
  template <bool kSigned, int kOffset>
  static constexpr int start_offset() {
    return 0;
  }
  template <bool kSigned, int kOffset>
  static U8 finish(U8 code) {
    if constexpr (kSigned)
      return code;
    else
      return map_b([&](int i) { return code.v[i] - kOffset; });
  }
  // What a step takes of kDotRows rows, `stride` apart, from q on: 4 k of the one.
  static Q load_q(const int8_t* q, int64_t) { return q; }
  template <bool kSigned, int kFlush>
  struct Dot {
    I32 sum;
    void begin(const int32_t*) { sum = set1_i(0); }
    template <int kStep, int kSteps>
    void step(U8 code, Q q) {
      for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 4; ++j) sum.v[i] += static_cast<int8_t>(code.v[4 * i + j]) * q[j];
    }
    I32 end(const int32_t*, int /*which of its rows*/) { return sum; }
  };

  // The same, each part's sum multiplied by an integer factor (of up to 11 bits, made ready by part_factor) on its way into `sum`: factor(i), sum[i] of
  // the i-th of the dot's rows.
  static constexpr bool kPairFactors = false;  // whether a factor stands twice in its lane, as int16
  static I32 part_factor(I32 a) { return a; }
  static I32 add_factors(I32 a, I32 b) { return add_i(a, b); }
  template <bool kSigned, int kFlush>
  struct ScaledDot {
    Dot<kSigned, kFlush> dot;
    void begin(const int32_t* start) { dot.begin(start); }
    template <int kStep, int kSteps, typename Factor>
    void step(U8 code, Q q, Factor factor, I32* sum) {
      dot.template step<kStep, kSteps>(code, q);
      if constexpr (kStep + 1 == kSteps) {
        const I32 part = dot.end(nullptr, 0), by = factor(0);
        for (int i = 0; i < 16; ++i) sum->v[i] += part.v[i] * by.v[i];
      }
    }
  };

  // ---- across lanes: lane i with lane i + 8, then + 4, + 2, + 1
  template <typename V, typename F>
  static auto tree(V a, F f) {
    for (int w = 8; w > 0; w /= 2)
      for (int i = 0; i < w; ++i) a.v[i] = f(a.v[i], a.v[i + w]);
    return a.v[0];
  }
  static float reduce_add(F32 a) {
    return tree(a, [](float x, float y) { return x + y; });
  }
  static float reduce_max(F32 a) {
    return tree(a, [](float x, float y) { return x > y ? x : y; });
  }
  static int32_t reduce_add_i(I32 a) {
    return tree(a, [](int32_t x, int32_t y) { return x + y; });
  }
  static int32_t reduce_max_i(I32 a) {
    return tree(a, [](int32_t x, int32_t y) { return x > y ? x : y; });
  }
  // Lane i of the result is reduce_add(a[i]).
  static F32 reduce_add16(const F32* a) {
    return map([&](int i) { return reduce_add(a[i]); });
  }

  static void prefetch(const void*) {}
};

}  // namespace carat::kernels
