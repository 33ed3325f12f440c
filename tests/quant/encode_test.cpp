// Encoders against bytes that gguf-py makes, and against the errors that ggml's own search leaves. tests/golden/quantised/rows.safetensors holds rows, those bytes and errors.
#include "quant/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/checkpoint.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

const Checkpoint& rows_file() {
  static const auto file = Checkpoint::open(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/quantised/rows.safetensors");
  return *file;
}

constexpr int64_t kCols = 256;

std::vector<float> rows() { return rows_file().at("x").to_f32(); }
std::vector<float> importance() { return rows_file().at("importance").to_f32(); }

std::vector<std::byte> encoded(DType t, const std::vector<float>& x, const float* w) {
  const int64_t n = static_cast<int64_t>(x.size()) / kCols, bytes = row_bytes(t, kCols);
  std::vector<std::byte> out(static_cast<size_t>(n * bytes));
  for (int64_t r = 0; r < n; ++r) encode_row(t, x.data() + r * kCols, kCols, w, out.data() + r * bytes);
  return out;
}

// The squared error of each row, weighted.
std::vector<double> errors(DType t, const std::vector<float>& x, const std::vector<std::byte>& bytes, const float* w) {
  std::vector<double> out;
  std::vector<float> y(kCols);
  for (size_t r = 0; r * kCols < x.size(); ++r) {
    dequantise(t, bytes.data() + r * static_cast<size_t>(row_bytes(t, kCols)), y.data(), kCols);
    double sum = 0;
    for (size_t i = 0; i < kCols; ++i) {
      const double d = static_cast<double>(y[i]) - static_cast<double>(x[r * kCols + i]);
      sum += d * d * (w ? static_cast<double>(w[i]) : 1.0);
    }
    out.push_back(sum);
  }
  return out;
}

TEST(Encode, ReferenceRulesGiveTheReferencesBytes) {
  const std::vector<float> x = rows();
  for (const DType t : {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::mxfp4, DType::bf16}) {
    const TensorInfo& wanted = rows_file().at(info(t).name);
    const std::vector<std::byte> ours = encoded(t, x, nullptr);
    std::vector<std::byte> theirs(wanted.nbytes);
    wanted.read_rows(0, wanted.rows(), theirs.data());
    ASSERT_EQ(ours.size(), theirs.size()) << info(t).name;
    const size_t bytes = static_cast<size_t>(row_bytes(t, kCols));
    for (size_t r = 0; r < ours.size() / bytes; ++r)
      EXPECT_EQ(std::memcmp(ours.data() + r * bytes, theirs.data() + r * bytes, bytes), 0) << info(t).name << " row " << r;
  }
}

// The sum over all rows and, as a search may lose a little in one block, each row to one part in fifty; rows that the other gives exactly, almost exactly.
TEST(Encode, ErrorsAreNotAboveThoseOfGgml) {
  const std::vector<float> x = rows(), w = importance();
  for (const DType t : {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl,
                        DType::iq4_xs, DType::mxfp4, DType::nvfp4}) {
    for (const bool weighted : {false, true}) {
      const std::string name = std::string(info(t).name) + (weighted ? "_weighted" : "");
      const std::vector<float> theirs = rows_file().at("error_" + name).to_f32();
      const std::vector<double> ours = errors(t, x, encoded(t, x, weighted ? w.data() : nullptr), weighted ? w.data() : nullptr);
      double sum_ours = 0, sum_theirs = 0;
      for (size_t r = 0; r < ours.size(); ++r) {
        if (r == 10) continue;  // 300 times as large as the others: it would be all that counts
        sum_ours += ours[r], sum_theirs += static_cast<double>(theirs[r]);
      }
      EXPECT_LE(sum_ours, sum_theirs * (1 + 1e-6)) << name;
    }
  }
}

TEST(Encode, ImportanceIsHeeded) {
  const std::vector<float> x = rows(), w = importance();
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    if (!is_quantised(t) || t == DType::q8_0) continue;
    const std::vector<double> with = errors(t, x, encoded(t, x, w.data()), w.data()), without = errors(t, x, encoded(t, x, nullptr), w.data());
    double sum_with = 0, sum_without = 0;
    for (size_t r = 0; r < with.size(); ++r) sum_with += with[r], sum_without += without[r];
    EXPECT_LT(sum_with, 0.999 * sum_without) << info(t).name;
  }
}

TEST(Encode, ColumnsThatWereNeverUsedAreKept) {
  std::vector<float> x = rows(), w(kCols, 0.0f);
  x.resize(kCols);
  for (size_t i = 0; i < kCols; i += 2) w[i] = 1;  // every other
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    if (!encodable(t)) continue;
    std::vector<float> unused = w;
    for (float& v : unused) v = 1 - v;
    const double power = [&] {
      double sum = 0;
      for (size_t k = 0; k < kCols; ++k) sum += static_cast<double>(unused[k] * x[k]) * static_cast<double>(x[k]);
      return sum;
    }();
    EXPECT_LT(errors(t, x, encoded(t, x, w.data()), unused.data())[0], 0.35 * power) << info(t).name;
    const std::vector<float> none(kCols, 0.0f);  // an expert that no token was sent to
    EXPECT_EQ(encoded(t, x, none.data()), encoded(t, x, nullptr)) << info(t).name;
  }
}

TEST(Encode, ZerosStayZeros) {
  const std::vector<float> zeros(kCols, 0.0f);
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto t = static_cast<DType>(i);
    if (!encodable(t)) continue;
    EXPECT_EQ(errors(t, zeros, encoded(t, zeros, nullptr), nullptr)[0], 0) << info(t).name;
    EXPECT_EQ(errors(t, zeros, encoded(t, zeros, importance().data()), nullptr)[0], 0) << info(t).name;
  }
}

// Whatever the numbers, there is a result; what cannot be held comes back as infinity, which is the caller's business.
TEST(Encode, OddValuesDoNoHarm) {
  for (const float scale : {1e-45f, 1e-38f, 1e-12f, 6e4f, 1e20f, 3e38f}) {
    std::vector<float> x = rows();
    for (float& v : x) v = std::fmin(std::fmax(v * 10, -1.0f), 1.0f) * scale;
    for (int i = 0; i < kNumDTypes; ++i) {
      const auto t = static_cast<DType>(i);
      if (!encodable(t)) continue;
      EXPECT_EQ(encoded(t, x, nullptr), encoded(t, x, nullptr)) << info(t).name;
      if (scale > 6e4f) continue;
      for (const double e : errors(t, x, encoded(t, x, importance().data()), nullptr)) EXPECT_TRUE(std::isfinite(e)) << info(t).name << " " << scale;
    }
  }
}

}  // namespace
}  // namespace carat::quant
