// A folder in a 4-bit form gives what a folder with the same values in F32 gives: every matrix of a layer and the embeddings packed, experts named singly.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "formats/temp_folder.h"
#include "support/golden.h"
#include "support/safetensors_text.h"
#include "support/single_sequence.h"
#include "tensor/dequantise.h"

namespace carat {
namespace {

using Parts = SafetensorsParts;

void write_folder(const std::filesystem::path& folder, const Parts& parts, const std::string& config) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "model.safetensors", std::ios::binary) << safetensors_text(parts);
  std::ofstream(folder / "config.json") << config;
}

const double kE2m1[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

int nearest_e2m1(double x) {
  int best = 0;
  for (int i = 1; i < 8; ++i)
    if (std::abs(std::abs(x) - kE2m1[i]) < std::abs(std::abs(x) - kE2m1[best])) best = i;
  return best | (x < 0 ? 8 : 0);
}
double e4m3(int v) { return v < 8 ? std::ldexp(v, -9) : std::ldexp(8 + v % 8, v / 8 - 10); }

// Packs a matrix into `out` under `stem`, and returns the values it then has. Each form as it is written down in docs/formats.md.
std::vector<float> pack(Parts& out, const std::string& form, const std::string& stem, const std::vector<float>& x, int64_t rows, int64_t cols) {
  const int64_t group = form == "nvfp4" ? 16 : 32;
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols / 2)), bytes;
  std::vector<uint16_t> halves;
  std::vector<float> values(x.size());
  double largest = 0;
  for (const float v : x) largest = std::max(largest, std::abs(double{v}));
  const float reciprocal = static_cast<float>(6 * 448 / std::max(largest, 1e-6));  // as compressed-tensors keeps it
  const float factor = 1.0f / reciprocal;
  for (int64_t first = 0; first < rows * cols; first += group) {
    double most = 1e-9, scale = 0;
    for (int64_t i = first; i < first + group; ++i) most = std::max(most, std::abs(double{x[static_cast<size_t>(i)]}));
    if (form == "int4") {
      halves.push_back(f32_to_bf16(static_cast<float>(most / 7.5)));
      scale = bf16_to_f32(halves.back());
    } else if (form == "nvfp4") {
      int best = 1;
      for (int v = 1; v < 127; ++v)
        if (std::abs(e4m3(v) * factor - most / 6) < std::abs(e4m3(best) * factor - most / 6)) best = v;
      bytes.push_back(static_cast<uint8_t>(best));
      scale = e4m3(best) * double{factor};
    } else {
      bytes.push_back(static_cast<uint8_t>(127 + std::ceil(std::log2(most / 6))));
      scale = std::ldexp(1.0, bytes.back() - 127);
    }
    for (int64_t i = first; i < first + group; ++i) {
      const double y = x[static_cast<size_t>(i)] / scale;
      const int code = form == "int4" ? static_cast<int>(std::clamp(std::nearbyint(y), -8.0, 7.0)) + 8 : nearest_e2m1(y);
      const double value = form == "int4" ? code - 8 : kE2m1[code & 7] * (code > 7 ? -1 : 1);
      codes[static_cast<size_t>(i / 2)] |= static_cast<uint8_t>(code << (4 * (i % 2)));
      values[static_cast<size_t>(i)] = static_cast<float>(value * scale);
    }
  }
  if (form == "int4") {
    out[stem + ".weight_packed"] = {"I32", {rows, cols / 8}, bytes_of(codes)};
    out[stem + ".weight_scale"] = {"BF16", {rows, cols / group}, bytes_of(halves)};
    out[stem + ".weight_shape"] = {"I64", {2}, bytes_of<int64_t>({rows, cols})};
  } else {
    out[stem + ".weight_packed"] = {"U8", {rows, cols / 2}, bytes_of(codes)};
    out[stem + ".weight_scale"] = {form == "nvfp4" ? "F8_E4M3" : "U8", {rows, cols / group}, bytes_of(bytes)};
    if (form == "nvfp4") out[stem + ".weight_global_scale"] = {"F32", {1}, bytes_of<float>({reciprocal})};
  }
  return values;
}

// Experts of 32 become experts of 64 that compute the same, so that rows of `down` are whole blocks of NVFP4: [n, rows, cols] -> [n, to_rows, to_cols].
std::vector<float> padded(const std::vector<float>& x, int64_t n, int64_t rows, int64_t cols, int64_t to_rows, int64_t to_cols) {
  std::vector<float> out(static_cast<size_t>(n * to_rows * to_cols));
  for (int64_t i = 0; i < n * rows; ++i) std::copy_n(x.begin() + i * cols, cols, out.begin() + (i / rows * to_rows + i % rows) * to_cols);
  return out;
}

struct Folders {
  Parts packed, plain;
};

void add_experts(Folders& f, const std::string& form, const TensorInfo& t) {
  const int64_t n = t.shape[0];
  const bool down = t.name.ends_with("down_proj");
  const std::string stem = t.name.substr(0, t.name.rfind('.'));  // P.experts
  const int64_t hidden = down ? t.shape[1] : t.shape[2], halves = down ? 1 : 2;
  const std::vector<float> x = down ? padded(t.to_f32(), n, hidden, 32, hidden, 64) : padded(t.to_f32(), n * 2, 32, hidden, 64, hidden);
  std::vector<float> values;
  for (int64_t i = 0; i < n * halves; ++i) {
    std::vector<float> one(x.begin() + i * 64 * hidden, x.begin() + (i + 1) * 64 * hidden);
    const std::string name = fmt::format("{}.{}.{}", stem, i / halves, down ? "down_proj" : i % 2 == 0 ? "gate_proj" : "up_proj");
    const std::vector<float> v = down ? pack(f.packed, form, name, one, hidden, 64) : pack(f.packed, form, name, one, 64, hidden);
    values.insert(values.end(), v.begin(), v.end());
  }
  f.plain[t.name] = {"F32", down ? std::vector<int64_t>{n, hidden, 64} : std::vector<int64_t>{n, 128, hidden}, bytes_of(values)};
}

Folders make(const Checkpoint& hf, const std::string& form) {
  Folders f;
  for (const TensorInfo& t : hf.tensors()) {
    if (t.name.find("vision") != std::string::npos || t.name.find("audio") != std::string::npos) continue;
    if (t.name.find(".experts.") != std::string::npos) {
      add_experts(f, form, t);
    } else if (t.shape.size() == 2 && t.name.ends_with(".weight") && t.shape[1] % 32 == 0 && t.name.find("router") == std::string::npos) {
      const std::vector<float> v = pack(f.packed, form, t.name.substr(0, t.name.size() - 7), t.to_f32(), t.shape[0], t.shape[1]);
      f.plain[t.name] = {"F32", t.shape, bytes_of(v)};
    } else {
      f.packed[t.name] = f.plain[t.name] = {"F32", t.shape, bytes_of(t.to_f32())};
    }
  }
  return f;
}

std::vector<float> logits(const std::filesystem::path& folder, Ops& ops, const std::vector<int32_t>& ids) {
  const auto model = Model::load(Checkpoint::open(folder), ops);
  test::SingleSequence sequence(*model, ops, DType::f32, static_cast<int32_t>(ids.size()));
  const Tensor t = sequence.run(ids);
  return {t.data, t.data + t.size()};
}

double worst_log_probability(const std::vector<float>& a, const std::vector<float>& b, size_t vocab) {
  double worst = 0;
  for (size_t row = 0; row < a.size(); row += vocab) {
    const auto norm = [&](const std::vector<float>& x) {
      double sum = 0;
      for (size_t i = 0; i < vocab; ++i) sum += std::exp(double{x[row + i]});
      return std::log(sum);
    };
    const double na = norm(a), nb = norm(b);
    for (size_t i = 0; i < vocab; ++i) worst = std::max(worst, std::abs((a[row + i] - na) - (b[row + i] - nb)));
  }
  return worst;
}

class PackedFolder : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(PackedFolder, GivesWhatItsValuesGive) {
  if (!test::have_golden()) GTEST_SKIP() << "reference models are not at " << test::shared_dir();
  const auto [model, form] = GetParam();
  const auto hf = Checkpoint::open(test::golden(std::string("models/") + model + "/hf"));
  std::string config = hf->side_file("config.json").value();
  if (const size_t at = config.find("\"moe_intermediate_size\": 32"); at != std::string::npos) config.replace(at, 27, "\"moe_intermediate_size\": 64");
  const Folders f = make(*hf, form);
  TempFolder temp;
  write_folder(temp / "packed", f.packed, config);
  write_folder(temp / "plain", f.plain, config);
  // Every matrix bit for bit, but for the factor: that is multiplied in where the model runs.
  const auto packed = Checkpoint::open(temp / "packed"), plain = Checkpoint::open(temp / "plain");
  int quantised = 0;
  for (const TensorInfo& t : packed->tensors()) {
    quantised += is_quantised(t.dtype);
    const TensorInfo* want = plain->find(t.name);
    if (want == nullptr || t.dtype == DType::nvfp4) continue;
    const std::vector<float> a = t.to_f32(), b = want->to_f32();
    ASSERT_EQ(a.size(), b.size()) << t.name;
    for (size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(a[i] == b[i]) << t.name << "[" << i << "]: " << a[i] << ", not " << b[i];
  }
  EXPECT_GE(quantised, std::string(model) == "tiny-26b" ? 30 : 50);
  const test::TextCase c = test::load_text_case(model, "long");
  const auto ref = make_ref_ops();
  const std::vector<float> want = logits(temp / "plain", *ref, c.ids);
  const double on_ref = worst_log_probability(logits(temp / "packed", *ref, c.ids), want, 768);
  RecordProperty("max_abs_logprob_difference", std::to_string(on_ref));
  std::cout << model << " " << form << ": log-probabilities differ by at most " << on_ref << "\n";
  EXPECT_LE(on_ref, 2e-3);
  EXPECT_NE(want, logits(test::golden(std::string("models/") + model + "/hf"), *ref, c.ids));  // 4 bits do change a model
}

INSTANTIATE_TEST_SUITE_P(All, PackedFolder, testing::Combine(testing::Values("tiny-e2b", "tiny-26b"), testing::Values("int4", "nvfp4", "mxfp4")),
                         [](const auto& i) { return std::string(std::get<0>(i.param)).substr(5) + "_" + std::get<1>(i.param); });

}  // namespace
}  // namespace carat
