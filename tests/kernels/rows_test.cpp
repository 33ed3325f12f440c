// Norms, rope, activations, softmax and the plain elementwise kernels.
#include <functional>

#include "kernel_cases.h"

namespace carat::kernels {
namespace {

const int64_t kLengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 64, 72, 255, 640, 1536, 2049};

// Ordinary values and all the odd ones.
std::vector<float> odd_floats(int64_t n, std::mt19937& rng, float scale) {
  auto v = random_floats(n, rng, scale);
  const float odd[] = {0.0f, -0.0f, 1e-40f, -1e-40f, 1e-30f, 50.0f, -50.0f, 88.0f, -88.0f, -104.5f, 1e4f, -1e4f, 1e20f, -1e20f};
  for (const float x : odd) v[rng() % v.size()] = x;
  return v;
}

using Kernel = std::function<void(const KernelTable&, const std::vector<float>&, const std::vector<float>&, std::vector<float>&)>;

void compare(const char* what, const Kernel& kernel, float scale = 3.0f) {
  std::mt19937 rng(11);
  for (const int64_t n : kLengths) {
    const auto a = odd_floats(n, rng, scale), b = odd_floats(n, rng, scale);
    std::vector<float> want(static_cast<size_t>(n) + 16, -7.0f);
    kernel(*scalar_table(), a, b, want);
    for (size_t i = static_cast<size_t>(n); i < want.size(); ++i) ASSERT_EQ(want[i], -7.0f) << what << " wrote beyond n";
    for (const Candidate& c : candidates()) {
      std::vector<float> got(static_cast<size_t>(n) + 16, -7.0f);
      kernel(*c.table, a, b, got);
      ASSERT_TRUE(same_bits(want, got)) << what << " n=" << n << " " << c.how;
    }
  }
}

int64_t size(const std::vector<float>& v) { return static_cast<int64_t>(v.size()); }
void copy(const std::vector<float>& from, std::vector<float>& to) { std::copy(from.begin(), from.end(), to.begin()); }

TEST(RowKernels, EveryTableGivesTheBitsOfScalar) {
  compare("add", [](auto& t, auto& a, auto& b, auto& o) { t.add(a.data(), b.data(), size(a), o.data()); });
  compare("mul", [](auto& t, auto& a, auto& b, auto& o) { t.mul(a.data(), b.data(), size(a), o.data()); });
  compare("scale", [](auto& t, auto& a, auto&, auto& o) { t.scale(a.data(), 0.37f, size(a), o.data()); });
  compare("axpy", [](auto& t, auto& a, auto& b, auto& o) {
    copy(b, o);
    t.axpy(a.data(), 0.37f, size(a), o.data());
  });
  compare("gelu_mul", [](auto& t, auto& a, auto& b, auto& o) { t.gelu_mul(a.data(), b.data(), size(a), o.data()); });
  compare(
      "softcap",
      [](auto& t, auto& a, auto&, auto& o) {
        copy(a, o);
        t.softcap(o.data(), 30.0f, size(a));
      },
      30.0f);
  compare("softmax", [](auto& t, auto& a, auto&, auto& o) {
    copy(a, o);
    t.softmax(o.data(), size(a));
  });
  compare("rms_norm", [](auto& t, auto& a, auto& b, auto& o) { t.rms_norm(a.data(), b.data(), 1e-6f, size(a), o.data()); });
  compare("rms_norm without weight", [](auto& t, auto& a, auto&, auto& o) { t.rms_norm(a.data(), nullptr, 1e-6f, size(a), o.data()); });
  compare("add_rms_norm", [](auto& t, auto& a, auto& b, auto& o) { t.add_rms_norm(b.data(), a.data(), b.data(), 1e-6f, size(a), o.data()); });
  compare("attend_merge", [](auto& t, auto& a, auto& b, auto& o) {
    copy(b, o);
    float m = 0.3f, l = 2.0f;
    t.attend_merge(1.7f, 3.0f, a.data(), size(a), &m, &l, o.data());
    o[0] += m + l;
  });
  compare("attend_finish", [](auto& t, auto& a, auto&, auto& o) {
    copy(a, o);
    t.attend_finish(1.3f, size(a), o.data());
  });
}

TEST(RowKernels, RopeEveryTableAndMeaning) {
  std::mt19937 rng(12);
  for (const auto& [half, pairs] : {std::pair<int64_t, int64_t>{128, 128}, {256, 64}, {128, 0}, {36, 36}, {32, 17}, {4, 3}}) {
    const auto head = random_floats(2 * half, rng), cos = random_floats(pairs + 1, rng), sin = random_floats(pairs + 1, rng);
    auto want = head;
    scalar_table()->rope(want.data(), half, pairs, cos.data(), sin.data());
    for (int64_t i = 0; i < half; ++i) {
      const auto at = static_cast<size_t>(i), up = static_cast<size_t>(i + half);
      if (i < pairs) {
        ASSERT_NEAR(want[at], head[at] * cos[at] - head[up] * sin[at], 1e-5);
        ASSERT_NEAR(want[up], head[up] * cos[at] + head[at] * sin[at], 1e-5);
      } else {
        ASSERT_EQ(want[at], head[at]);
        ASSERT_EQ(want[up], head[up]);
      }
    }
    for (const Candidate& c : candidates()) {
      auto got = head;
      c.table->rope(got.data(), half, pairs, cos.data(), sin.data());
      ASSERT_TRUE(same_bits(want, got)) << c.how;
    }
  }
}

TEST(RowKernels, GeluIsAccurate) {
  std::vector<float> x;
  for (float v = -14.0f; v < 14.0f; v += 0.0013f) x.push_back(v);
  const std::vector<float> ones(x.size(), 1.0f);
  std::vector<float> out(x.size());
  scalar_table()->gelu_mul(x.data(), ones.data(), size(x), out.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], u = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
    const double want = v / (1 + std::exp(-2 * u));
    ASSERT_NEAR(out[i], want, 1.5e-7 * std::max(1.0, std::abs(v))) << v;
  }
  float edge[] = {std::numeric_limits<float>::infinity(), 1e30f, -1e30f, std::numeric_limits<float>::quiet_NaN()}, one[] = {1, 1, 1, 1};
  scalar_table()->gelu_mul(edge, one, 4, edge);
  EXPECT_EQ(edge[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(edge[1], 1e30f);
  EXPECT_EQ(edge[2], 0.0f);
  EXPECT_TRUE(std::isnan(edge[3]));
}

TEST(RowKernels, TanhIsAccurate) {
  std::vector<float> x;
  for (float v = -12.0f; v < 12.0f; v += 0.0011f) x.push_back(v);
  for (float v = 1e-30f; v < 1.0f; v *= 1.7f) x.push_back(v);
  x.push_back(std::numeric_limits<float>::infinity());
  x.push_back(-1e30f);
  std::vector<float> out = x;
  scalar_table()->softcap(out.data(), 1.0f, size(out));
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = std::tanh(static_cast<double>(x[i]));
    ASSERT_NEAR(out[i], want, 2.5e-7 * std::abs(want)) << x[i];
  }
  float nan = std::numeric_limits<float>::quiet_NaN();
  scalar_table()->softcap(&nan, 30.0f, 1);
  EXPECT_TRUE(std::isnan(nan));
}

// exp shows through a softmax of {x, 0}: e^x / (e^x + 1).
TEST(RowKernels, SoftmaxIsAccurateAndSurvivesLargeInputs) {
  for (float v = -87.0f; v < 0.0f; v += 0.0137f) {
    float x[] = {v, 0.0f};
    scalar_table()->softmax(x, 2);
    const double e = std::exp(static_cast<double>(v));
    ASSERT_NEAR(x[0], e / (1 + e), 3e-7 * e) << v;
  }
  float x[] = {1e30f, 1e30f, -1e30f};
  scalar_table()->softmax(x, 3);
  EXPECT_EQ(x[0], 0.5f);
  EXPECT_EQ(x[2], 0.0f);
}

TEST(RowKernels, NormMeansWhatItSays) {
  std::mt19937 rng(13);
  const auto x = random_floats(1536, rng), h = random_floats(1536, rng), w = random_floats(1536, rng);
  std::vector<float> norm(x.size()), both(x.size()), sum(x.size());
  scalar_table()->rms_norm(h.data(), w.data(), 1e-6f, size(x), norm.data());
  double square = 0;
  for (const float v : h) square += static_cast<double>(v) * v;
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(norm[i], h[i] / std::sqrt(square / 1536 + 1e-6) * w[i], 1e-5);
  scalar_table()->add(x.data(), norm.data(), size(x), sum.data());
  scalar_table()->add_rms_norm(x.data(), h.data(), w.data(), 1e-6f, size(x), both.data());
  EXPECT_TRUE(same_bits(sum, both));
}

}  // namespace
}  // namespace carat::kernels
