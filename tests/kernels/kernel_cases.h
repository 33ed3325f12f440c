#pragma once
// What the kernel tests share: the tables to try, and rows of every type made of random but decodable bytes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/targets.h"
#include "tensor/dequantise.h"
#include "tensor/dtype.h"
#include "tensor/pack.h"

namespace carat::kernels {

// AVX-512 through SIMDe (simde_avx512_test.cpp): the same source on a CPU that lacks the set. Null off x86 or without AVX2; weak, because sanitised builds leave
// that file out (cmake/rooms.cmake).
[[gnu::weak]] const KernelTable* simde_avx512_table();
[[gnu::weak]] const KernelTable* simde_avx512_vnni_table();

struct Candidate {
  const KernelTable* table;
  std::string how;  // "avx2 (native)", "avx512 (SIMDe)"
};

// Everything but scalar.
inline std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
  const TableList native = available_tables();
  for (int i = 1; i < native.count; ++i) list.push_back({native.tables[i], std::string(native.tables[i]->name) + " (native)"});
  for (const KernelTable* (*table)() : {&simde_avx512_table, &simde_avx512_vnni_table})
    if (const KernelTable* t = table != nullptr ? table() : nullptr) list.push_back({t, std::string(t->name) + " (SIMDe)"});
  return list;
}

inline const DType kQuantTypes[] = {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,   DType::q8_0,   DType::q2_k,  DType::q3_k,
                                    DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl, DType::iq4_xs, DType::mxfp4, DType::nvfp4};
inline const DType kDenseTypes[] = {DType::f32, DType::f16, DType::bf16};

enum class Fill { random, largest, zero };

// Positions of the f16 fields in a block.
inline std::vector<int> half_fields(DType t) {
  switch (t) {
    case DType::q4_0:
    case DType::q5_0:
    case DType::q8_0:
    case DType::iq4_nl: return {0};
    case DType::q4_1:
    case DType::q5_1:
    case DType::q4_k:
    case DType::q5_k: return {0, 2};
    case DType::q2_k: return {80, 82};
    case DType::q3_k: return {108};
    case DType::q6_k: return {208};
    case DType::iq4_xs: return {0};
    default: return {};
  }
}

// n rows of k elements in file order. `largest`: codes and scales at the ends of their ranges, where 16-bit sums would saturate first.
inline std::vector<std::byte> make_rows(DType t, int64_t n, int64_t k, std::mt19937& rng, Fill fill = Fill::random) {
  const int64_t bytes = row_bytes(t, k);
  std::vector<std::byte> rows(static_cast<size_t>(n * bytes));
  if (fill == Fill::zero) return rows;
  std::normal_distribution<float> normal;
  if (is_float(t)) {
    for (int64_t i = 0; i < n * k; ++i) {
      const float v = fill == Fill::largest ? 60000.0f : normal(rng);
      const uint16_t half = t == DType::f16 ? f32_to_f16(v) : f32_to_bf16(v);
      std::memcpy(rows.data() + i * info(t).block_bytes, t == DType::f32 ? static_cast<const void*>(&v) : &half, static_cast<size_t>(info(t).block_bytes));
    }
    return rows;
  }
  for (auto& b : rows) b = static_cast<std::byte>(fill == Fill::random ? rng() : (rng() % 8 != 0 ? 0xFF : 0x00));
  if (t == DType::q8_0 && fill == Fill::largest)
    for (auto& b : rows) b = static_cast<std::byte>(rng() % 8 != 0 ? 0x80 : 0x7F);
  for (int64_t b = 0; b < n * k / info(t).block_elems; ++b) {
    std::byte* block = rows.data() + b * info(t).block_bytes;
    for (const int at : half_fields(t)) {
      // Mostly ordinary scales; some zero, subnormal in f16, negative.
      const float kind = static_cast<float>(rng() % 16);
      const uint16_t d = kind == 0 ? 0 : kind == 1 ? static_cast<uint16_t>(rng() % 1024) : f32_to_f16(0.02f * normal(rng));
      std::memcpy(block + at, &d, 2);
    }
    if (t == DType::mxfp4) block[0] = static_cast<std::byte>(rng() % 16 == 0 ? rng() % 3 : 100 + rng() % 40);
  }
  return rows;
}

struct Panels {
  std::vector<std::byte> bytes;
  int64_t count = 0;
};

inline Panels pack(DType t, const std::vector<std::byte>& rows, int64_t n, int64_t k) {
  Panels p;
  p.count = (n + kLanes - 1) / kLanes;
  const int64_t size = panel_bytes(t, k);
  p.bytes.resize(static_cast<size_t>(p.count * size));
  for (int64_t i = 0; i < p.count; ++i) {
    const std::byte* lanes[16];
    for (int64_t l = 0; l < 16; ++l) lanes[l] = i * 16 + l < n ? rows.data() + (i * 16 + l) * row_bytes(t, k) : nullptr;
    pack_panel(t, lanes, k, p.bytes.data() + i * size);
  }
  return p;
}

inline std::vector<float> random_floats(int64_t n, std::mt19937& rng, float scale = 1.0f) {
  std::normal_distribution<float> normal;
  std::vector<float> v(static_cast<size_t>(n));
  for (auto& x : v) x = scale * normal(rng);
  return v;
}

// Activations as the matrices of a type take them.
struct Rows {
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sum16, pair16, pair32;
  std::vector<uint8_t> factor;
  QuantRows view;

  // What an element stands for.
  double value(int64_t i) const {
    const auto at = static_cast<size_t>(i);
    return view.factor ? static_cast<double>(scale[at / kTileK]) * (q[at] * factor[at / kGroup]) : static_cast<double>(scale[at / kGroup]) * q[at];
  }
};

inline Rows quantise(const KernelTable& t, DType type, const std::vector<float>& x, int64_t rows, int64_t k) {
  Rows r;
  const auto n = static_cast<size_t>(rows * k);
  r.q.resize(n), r.sum16.resize(n / 16);
  if (is_superblock(type)) {
    r.scale.resize(n / kTileK), r.factor.resize(n / kGroup), r.pair16.resize(n / kGroup), r.pair32.resize(n / (2 * kGroup));
    t.quantise_tiles(x.data(), k, rows, k, {r.q.data(), r.scale.data(), r.sum16.data(), r.factor.data(), r.pair16.data(), r.pair32.data()});
    r.view = {r.q.data(), r.scale.data(), r.sum16.data(), rows, k, r.factor.data(), r.pair16.data(), r.pair32.data()};
  } else {
    r.scale.resize(n / kGroup);
    t.quantise_rows(x.data(), k, rows, k, r.q.data(), r.scale.data(), r.sum16.data());
    r.view = {r.q.data(), r.scale.data(), r.sum16.data(), rows, k};
  }
  return r;
}

// The same bits; two NaNs count as equal, since their payload is no part of the contract.
inline ::testing::AssertionResult same_bits(const std::vector<float>& want, const std::vector<float>& got) {
  if (want.size() != got.size()) return ::testing::AssertionFailure() << "sizes " << want.size() << " and " << got.size();
  if (!want.empty() && std::memcmp(want.data(), got.data(), want.size() * sizeof(float)) == 0) return ::testing::AssertionSuccess();
  for (size_t i = 0; i < want.size(); ++i)
    if (std::memcmp(&want[i], &got[i], sizeof(float)) != 0 && !(std::isnan(want[i]) && std::isnan(got[i])))
      return ::testing::AssertionFailure() << "element " << i << " of " << want.size() << ": " << got[i] << " instead of " << want[i];
  return ::testing::AssertionSuccess();
}

}  // namespace carat::kernels
