// Files to files: what is carried over, what is measured, and that nothing half done is left.
#include "quant/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "formats/gguf_write.h"
#include "formats/temp_folder.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

std::filesystem::path tiny(const char* name) { return std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models" / name; }

std::vector<float> numbers(int64_t n, uint64_t seed, float scale = 0.05f) {
  std::vector<float> v(static_cast<size_t>(n));
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (float& x : v) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x = (static_cast<float>(state >> 40) * 0x1p-24f - 0.5f) * 2 * scale;
  }
  return v;
}

// A small file with a matrix, a stack of experts, a norm; `spoilt` replaces a value of the matrix.
std::filesystem::path small_model(const TempFolder& folder, float spoilt = 0.1f) {
  GgufWriter w;
  w.add("general.architecture", "gemma4");
  w.add("gemma4.block_count", uint32_t{1});
  w.add("general.file_type", uint32_t{32});
  w.add("general.tags", int64_t{-5});
  w.add_array("some.list", std::vector<std::string>{"a", "", "b"});
  w.add_array("some.flags", std::vector<bool>{true, false});
  std::vector<float> q = numbers(96 * 256, 1);
  q[1000] = spoilt;
  w.add_tensor("blk.0.attn_q.weight", {96, 256}, q);
  w.add_tensor("blk.0.ffn_down_exps.weight", {3, 40, 64}, numbers(3 * 40 * 64, 2));
  w.add_tensor("blk.0.attn_norm.weight", {256}, numbers(256, 3));
  w.write(folder / "in.gguf");
  return folder / "in.gguf";
}

std::vector<TensorResult> convert(const std::filesystem::path& in, const std::filesystem::path& out, const char* type, const QuantiseOptions& options = {},
                                  std::unique_ptr<Source>* keep = nullptr, std::unique_ptr<Plan>* keep_plan = nullptr) {
  auto source = std::make_unique<Source>(Source::open(in));
  const Recipe& recipe = find_recipe(type);
  auto plan = std::make_unique<Plan>(make_plan(*source, recipe, {}, options.importance != nullptr));
  auto results = quantise(*source, *plan, recipe, out, options);
  EXPECT_EQ(std::filesystem::file_size(out), plan->file_bytes);
  if (keep) *keep = std::move(source);
  if (keep_plan) *keep_plan = std::move(plan);
  return results;
}

std::string bytes_of(const std::filesystem::path& path) { return read_text_file(path, uint64_t{1} << 30); }
size_t entries(const TempFolder& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator()));
}

TEST(Quantise, MetadataAndUntouchedTensorsAreCarriedOver) {
  const TempFolder folder;
  convert(small_model(folder), folder / "out.gguf", "q8_0");
  const auto in = Checkpoint::open(folder / "in.gguf"), out = Checkpoint::open(folder / "out.gguf");
  EXPECT_EQ(out->meta_int("general.file_type"), 7);
  EXPECT_EQ(out->meta_int("general.quantization_version"), 2);
  EXPECT_EQ(out->meta_int("general.tags"), -5);
  EXPECT_EQ(out->meta_int("gemma4.block_count"), 1);
  EXPECT_EQ(out->meta_ints("some.flags"), (std::vector<int64_t>{1, 0}));
  const MetaStrings& list = *out->meta_strings("some.list");
  EXPECT_EQ(std::vector<std::string>(list.begin(), list.end()), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(out->at("blk.0.attn_norm.weight").to_f32(), in->at("blk.0.attn_norm.weight").to_f32());
  EXPECT_EQ(out->at("blk.0.attn_q.weight").dtype, DType::q8_0);
  EXPECT_EQ(out->at("blk.0.ffn_down_exps.weight").shape, (std::vector<int64_t>{3, 40, 64}));
}

TEST(Quantise, TheErrorIsThatOfTheFile) {
  const TempFolder folder;
  std::unique_ptr<Source> source;
  std::unique_ptr<Plan> plan;
  for (const char* type : {"q4_k_m", "q8_0", "bf16", "nvfp4", "mxfp4"}) {
    const auto results = convert(small_model(folder), folder / "out.gguf", type, {}, &source, &plan);
    const auto in = Checkpoint::open(folder / "in.gguf"), out = Checkpoint::open(folder / "out.gguf");
    for (const TensorResult& r : results) {
      const std::string& name = r.tensor->source->name;
      const std::vector<float> x = in->at(name).to_f32();
      std::vector<float> y = out->at(name).to_f32();
      if (r.tensor->own_factor) {
        const float factor = out->at(name.substr(0, name.rfind("weight")) + "scale").to_f32()[0];
        for (float& v : y) v *= factor;
      }
      double dd = 0, xx = 0, largest = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
        dd += d * d, xx += static_cast<double>(x[i]) * static_cast<double>(x[i]), largest = std::max(largest, std::fabs(d));
      }
      if (r.tensor->copied()) {
        EXPECT_EQ(dd, 0) << name;
      } else {
        EXPECT_NEAR(r.error.relative_rmse() / std::sqrt(dd / xx), 1, 1e-4) << type << " " << name;
        EXPECT_NEAR(r.error.largest / largest, 1, 1e-4) << type << " " << name;
        EXPECT_GT(r.error.cosine(), 0.98) << type << " " << name;
      }
    }
  }
}

TEST(Quantise, ThreadsChangeNoByte) {
  const TempFolder folder;
  for (const char* type : {"q4_k_m", "nvfp4", "f16"}) {
    convert(tiny("tiny-e2b-Q4_K_M.gguf"), folder / "one.gguf", type, {.num_threads = 1});
    convert(tiny("tiny-e2b-Q4_K_M.gguf"), folder / "five.gguf", type, {.num_threads = 5});
    EXPECT_EQ(bytes_of(folder / "one.gguf"), bytes_of(folder / "five.gguf")) << type;
  }
}

TEST(Quantise, SameTypesGiveTheSameTensors) {
  const TempFolder folder;
  for (const char* name : {"tiny-e2b-Q4_K_M.gguf", "tiny-gemma3-Q4_K_M.gguf"}) {
    convert(tiny(name), folder / "out.gguf", "q4_k_m");
    const auto in = Checkpoint::open(tiny(name)), out = Checkpoint::open(folder / "out.gguf");
    ASSERT_EQ(in->tensors().size(), out->tensors().size());
    for (const TensorInfo& t : in->tensors()) {
      const TensorInfo& o = out->at(t.name);
      ASSERT_EQ(o.dtype, t.dtype) << t.name;
      std::vector<std::byte> a(t.nbytes), b(o.nbytes);
      t.read_rows(0, t.rows(), a.data()), o.read_rows(0, o.rows(), b.data());
      EXPECT_EQ(a, b) << t.name;
    }
    EXPECT_EQ(in->metadata().size(), out->metadata().size());
  }
}

// A matrix in NVFP4 keeps a factor apart: it goes with the matrix, or into its values.
TEST(Quantise, FactorsOfNvfp4) {
  const TempFolder folder;
  convert(small_model(folder), folder / "n.gguf", "nvfp4");
  convert(folder / "n.gguf", folder / "again.gguf", "nvfp4");
  EXPECT_EQ(bytes_of(folder / "n.gguf"), bytes_of(folder / "again.gguf"));
  convert(folder / "n.gguf", folder / "f.gguf", "f32");
  const auto n = Checkpoint::open(folder / "n.gguf"), f = Checkpoint::open(folder / "f.gguf");
  EXPECT_EQ(f->find("blk.0.attn_q.scale"), nullptr);
  const float factor = n->at("blk.0.attn_q.scale").to_f32()[0];
  EXPECT_NE(factor, 1.0f);
  const std::vector<float> stored = n->at("blk.0.attn_q.weight").to_f32(), values = f->at("blk.0.attn_q.weight").to_f32();
  for (size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(values[i], stored[i] * factor);
  EXPECT_EQ(n->find("blk.0.ffn_down_exps.scale"), nullptr) << "of experts that name is taken";
}

TEST(Quantise, ImportanceIsTakenByColumnAndExpert) {
  const TempFolder folder;
  const auto in = small_model(folder);
  Importance importance;
  std::vector<float>& columns = importance["blk.0.attn_q.weight"];
  for (int i = 0; i < 256; ++i) columns.push_back(i < 64 ? 100.0f : 0.01f);
  std::vector<float>& experts = importance["blk.0.ffn_down_exps.weight"];
  for (int e = 0; e < 3; ++e)
    for (int i = 0; i < 64; ++i) experts.push_back(e == 1 && i < 8 ? 100.0f : 1.0f);
  convert(in, folder / "plain.gguf", "q4_0");
  const auto results = convert(in, folder / "weighted.gguf", "q4_0", {.importance = &importance});
  const auto original = Checkpoint::open(in), plain = Checkpoint::open(folder / "plain.gguf"), weighted = Checkpoint::open(folder / "weighted.gguf");
  const auto error = [&](const Checkpoint& c, const std::string& name, int64_t row0, int64_t rows, int64_t cols) {
    const std::vector<float> x = original->at(name).to_f32(), y = c.at(name).to_f32();
    const int64_t width = original->at(name).cols();
    double sum = 0;
    for (int64_t r = row0; r < row0 + rows; ++r)
      for (int64_t i = 0; i < cols; ++i)
        sum += std::pow(static_cast<double>(x[static_cast<size_t>(r * width + i)]) - static_cast<double>(y[static_cast<size_t>(r * width + i)]), 2);
    return sum;
  };
  EXPECT_LT(error(*weighted, "blk.0.attn_q.weight", 0, 96, 64), 0.95 * error(*plain, "blk.0.attn_q.weight", 0, 96, 64));
  EXPECT_LT(error(*weighted, "blk.0.ffn_down_exps.weight", 40, 40, 8), 0.9 * error(*plain, "blk.0.ffn_down_exps.weight", 40, 40, 8))
      << "the expert that matters there";
}

TEST(Quantise, WhatCannotBeDoneLeavesNothing) {
  const TempFolder folder;
  const auto in = small_model(folder, std::numeric_limits<float>::quiet_NaN());
  const auto attempt = [&](const char* type) { return error_of([&] { convert(in, folder / "out.gguf", type); }); };
  EXPECT_TRUE(attempt("q4_0").starts_with("corrupt: ")) << attempt("q4_0");
  EXPECT_EQ(entries(folder), 1u);
  small_model(folder, 1e6f);
  EXPECT_TRUE(attempt("f16").starts_with("unsupported: ")) << attempt("f16");
  EXPECT_EQ(attempt("bf16"), "no error");
  EXPECT_TRUE(error_of([&] { convert(in, folder / "no/such/folder/out.gguf", "q8_0"); }).starts_with("not_found: "));
  EXPECT_EQ(entries(folder), 2u);
}

TEST(Quantise, CancelledAtAnyPointTheOldFileStays) {
  const TempFolder folder;
  folder.put("out.gguf", "GGUF old");
  for (int calls = 0; calls < 60; calls += 7) {
    int left = calls;
    QuantiseOptions options;
    options.num_threads = 2;
    options.going_on = [&] { return left-- > 0; };
    EXPECT_TRUE(error_of([&] { convert(tiny("tiny-gemma3-Q4_K_M.gguf"), folder / "out.gguf", "q8_0", options); }).starts_with("cancelled: ")) << calls;
    EXPECT_EQ(bytes_of(folder / "out.gguf"), "GGUF old");
    EXPECT_EQ(entries(folder), 1u);
  }
}

}  // namespace
}  // namespace carat::quant
