// 4-bit forms of Hugging Face folders: the package's own bytes give the exact values, and what does not fit together is refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "formats/checkpoint.h"
#include "formats/temp_folder.h"
#include "support/safetensors_text.h"
#include "tensor/dequantise.h"

namespace carat {
namespace {

std::shared_ptr<const Checkpoint> golden(const std::string& name) {
  return Checkpoint::open(std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/packed" / name);
}

// The same numbers; zeros of either sign are one number, which blocks have without a sign.
void expect_same(const std::vector<float>& got, const std::vector<float>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) ASSERT_TRUE(got[i] == want[i]) << what << "[" << i << "]: " << got[i] << ", not " << want[i];
}

std::string text(const Checkpoint& c, const std::string& name) {
  const TensorInfo& t = c.at(name);
  std::string out(t.nbytes, '\0');
  t.read_rows(0, 1, reinterpret_cast<std::byte*>(out.data()));
  return out;
}

// Every X.values in the file against X; row by row too, so that rows are found wherever a read begins.
int compare(const Checkpoint& c) {
  int compared = 0;
  for (const TensorInfo& want : c.tensors()) {
    if (!want.name.ends_with(".values")) continue;
    const std::string name = want.name.substr(0, want.name.size() - 7);
    const TensorInfo* got = c.find(name);
    if (got == nullptr) continue;  // an expert in a stack
    SCOPED_TRACE(name);
    EXPECT_EQ(info(got->dtype).name, c.find(name + ".type") ? text(c, name + ".type") : "F32");
    if (name.ends_with(".weight")) {
      EXPECT_EQ(got->shape, want.shape);
    }
    EXPECT_EQ(got->nbytes, static_cast<uint64_t>(got->rows() * got->bytes_per_row()));
    const std::vector<float> all = want.to_f32();
    expect_same(got->to_f32(), all, name);
    std::vector<std::byte> bytes(static_cast<size_t>(got->bytes_per_row())), part(bytes.size() / 2);
    std::vector<float> row(static_cast<size_t>(got->cols()));
    for (int64_t r = 0; r < got->rows(); ++r) {
      got->read_rows(r, 1, bytes.data());
      dequantise(got->dtype, bytes.data(), row.data(), got->cols());
      expect_same(row, {all.begin() + r * got->cols(), all.begin() + (r + 1) * got->cols()}, fmt::format("{} row {}", name, r));
      const size_t skip = bytes.size() - part.size();
      got->read_part(r, static_cast<int64_t>(skip), part);
      EXPECT_EQ(std::memcmp(part.data(), bytes.data() + skip, part.size()), 0);
    }
    ++compared;
  }
  return compared;
}

TEST(PackedTensors, IntegersAreExact) { EXPECT_EQ(compare(*golden("int4.safetensors")), 11); }
TEST(PackedTensors, FloatsAreExact) { EXPECT_EQ(compare(*golden("fp4.safetensors")), 9); }  // six matrices and three factors

TEST(PackedTensors, ExpertsBecomeStacks) {
  const auto c = golden("experts.safetensors");
  EXPECT_EQ(compare(*c), 2);  // one tensor of three experts, and its factors
  for (const char* projection : {"up_proj", "down_proj", "gate_proj"}) {
    const TensorInfo& stack = c->at(std::string("layers.1.experts.") + projection);
    EXPECT_EQ(stack.shape, (std::vector<int64_t>{3, 8, 64}));
    const std::vector<float> got = stack.to_f32();
    for (size_t e = 0; e < 3; ++e)
      expect_same({got.begin() + static_cast<int64_t>(e) * 512, got.begin() + static_cast<int64_t>(e + 1) * 512},
                  c->at(fmt::format("layers.1.experts.{}.{}.weight.values", e, projection)).to_f32(), projection);
  }
  EXPECT_EQ(c->at("layers.1.experts.up_proj").dtype, DType::q4_0);
  EXPECT_EQ(c->at("layers.1.experts.down_proj").dtype, DType::nvfp4);
  EXPECT_EQ(c->at("layers.1.experts.gate_proj").dtype, DType::f32);  // one of its experts has scales below f16
  const std::vector<float> factors = c->at("layers.1.experts.down_proj.scale").to_f32();
  for (size_t e = 0; e < 3; ++e) EXPECT_EQ(factors[e], c->at(fmt::format("layers.1.experts.{}.down_proj.scale.values", e)).to_f32()[0]);
  for (const TensorInfo& t : c->tensors())
    EXPECT_TRUE(t.name.ends_with(".values") || t.name.ends_with(".type") || t.name.find("weight") == std::string::npos) << t.name;
}

// Files made of a few tensors.
using Part = SafetensorsPart;
using Parts = SafetensorsParts;
Part f32(std::vector<int64_t> shape, const std::vector<float>& values) { return {"F32", std::move(shape), bytes_of(values)}; }

Parts int4() {
  return {{"x.weight_packed", {"I32", {2, 8}, std::string(64, '\x5A')}},
          {"x.weight_scale", f32({2, 2}, {1, 0.5f, 0.25f, 2})},
          {"x.weight_shape", {"I64", {2}, bytes_of<int64_t>({2, 64})}}};
}
Parts nvfp4() {
  return {{"x.weight", {"U8", {2, 32}, std::string(64, '\x5A')}},
          {"x.weight_scale", {"F8_E4M3", {2, 4}, std::string(8, '\x38')}},
          {"x.weight_scale_2", f32({}, {0.5f})}};
}
Parts mxfp4() { return {{"x.weight_packed", {"U8", {2, 32}, std::string(64, '\x5A')}}, {"x.weight_scale", {"U8", {2, 2}, std::string(4, '\x7F')}}}; }

class PackedHostile : public testing::Test {
 protected:
  // Opens the file and reads what there is.
  std::string outcome(const Parts& parts) {
    folder_.put("m.safetensors", safetensors_text(parts));
    return error_of([&] {
      const auto c = Checkpoint::open(folder_ / "m.safetensors");
      for (const TensorInfo& t : c->tensors())
        if (is_float(t.dtype) || is_quantised(t.dtype)) t.to_f32();
    });
  }
  void refused(Parts parts, const std::function<void(Parts&)>& spoil, std::string_view what) {
    ASSERT_EQ(outcome(parts), "no error");
    spoil(parts);
    const std::string e = outcome(parts);
    EXPECT_EQ(e.substr(0, 7), "corrupt") << e;
    EXPECT_NE(e.find(what), std::string::npos) << "no '" << what << "' in: " << e;
    EXPECT_NE(e.find("m.safetensors"), std::string::npos) << e;
    EXPECT_EQ(e.find('\n'), std::string::npos) << e;
  }
  // Opens, but the matrix is not read.
  void unread(const Parts& parts, std::string_view what) {
    folder_.put("m.safetensors", safetensors_text(parts));
    const auto why = Checkpoint::open(folder_ / "m.safetensors")->why_unread("x.weight");
    ASSERT_TRUE(why.has_value()) << what;
    EXPECT_NE(why->find(what), std::string::npos) << "no '" << what << "' in: " << *why;
  }
  TempFolder folder_;
};

TEST_F(PackedHostile, Integers) {
  refused(int4(), [](Parts& p) { p.erase("x.weight_scale"); }, "'x.weight_scale' is missing");
  refused(int4(), [](Parts& p) { p.erase("x.weight_shape"); }, "'x.weight_shape' is missing");
  refused(int4(), [](Parts& p) { p["x.weight"] = f32({1}, {1}); }, "in another form");
  refused(int4(), [](Parts& p) { p["x.weight_scale"] = f32({1, 4}, {1, 1, 1, 1}); }, "its shape is [1, 4], weight_packed needs [2, 4]");
  refused(int4(), [](Parts& p) { p["x.weight_scale"] = f32({2, 2}, {1, NAN, 1, 1}); }, "no finite scale");
  refused(int4(), [](Parts& p) { p["x.weight_scale"] = f32({2, 2}, {1, 1, 1, INFINITY}); }, "no finite scale");
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{3, 64}, {2, INT64_MAX}, {2, 0}, {2, -64}, {2, 300}, {64, 2}})
    refused(int4(), [&](Parts& p) { p["x.weight_shape"].data = bytes_of(shape); }, "x.weight");
  refused(int4(), [](Parts& p) { p["x.weight_shape"] = {"I64", {1}, bytes_of<int64_t>({128})}; }, "weight_shape says [128]");
  refused(int4(), [](Parts& p) { p["x.weight_shape"] = f32({2}, {2, 64}); }, "no list of dimensions");
  refused(int4(), [](Parts& p) { p["x.weight_packed"].shape = {16}; }, "2 or 3 dimensions");
  refused(int4(), [](Parts& p) { p["x.weight_zero_point"] = {"I32", {2, 2}, std::string(16, '\0')}; }, "weight_scale needs [1, 2]");
  refused(int4(), [](Parts& p) { p["x.weight_zero_point"] = {"I8", {2, 2}, std::string(4, '\x09')}; }, "no 4-bit zero point");
}

TEST_F(PackedHostile, Floats) {
  refused(nvfp4(), [](Parts& p) { p.erase("x.weight_scale_2"); }, "'x.weight_scale_2' is missing");
  refused(nvfp4(), [](Parts& p) { p["x.weight_scale"].shape = {4, 2}; }, "its shape is [4, 2], weight needs [2, 4]");
  refused(nvfp4(), [](Parts& p) { p["x.weight"] = {"U8", {2, 33}, std::string(66, '\0')}; }, "no multiple of 16");
  refused(nvfp4(), [](Parts& p) { p["x.weight_scale"].data[5] = '\x7F'; }, "not a number");
  refused(nvfp4(), [](Parts& p) { p["x.weight_scale"].data[5] = '\xFF'; }, "not a number");
  for (const float f : {0.0f, NAN, INFINITY}) refused(nvfp4(), [f](Parts& p) { p["x.weight_scale_2"] = f32({}, {f}); }, "no factor of a matrix");
  refused(nvfp4(), [](Parts& p) { p["x.weight_scale_2"] = f32({2}, {1, 1}); }, "no factors of 1 matrices");
  refused(nvfp4(), [](Parts& p) { p["x.scale"] = f32({1}, {1}); }, "given twice");
  Parts compressed = nvfp4();
  compressed["x.weight_packed"] = compressed["x.weight"];
  compressed["x.weight_global_scale"] = f32({1}, {0.5f});
  compressed.erase("x.weight"), compressed.erase("x.weight_scale_2");
  refused(compressed, [](Parts& p) { p["x.weight_global_scale"] = f32({1}, {1e-45f}); }, "no factor of a matrix");  // whose reciprocal is infinite
  refused(mxfp4(), [](Parts& p) { p["x.weight_scale"].data[3] = '\xFF'; }, "not a number");
  refused(mxfp4(), [](Parts& p) { p["x.weight_scale"].shape = {4, 1}; }, "weight_packed needs [2, 2]");
}

// Writers disagree about the name of the byte that is an exponent.
TEST_F(PackedHostile, ScalesTypedAsExponents) {
  Parts named = mxfp4();
  named["x.weight_scale"].data = "\x7E\x7F\x80\x85";
  const auto values = [&] {
    folder_.put("m.safetensors", safetensors_text(named));
    const auto c = Checkpoint::open(folder_ / "m.safetensors");
    EXPECT_EQ(c->at("x.weight").dtype, DType::mxfp4);
    return c->at("x.weight").to_f32();
  };
  const std::vector<float> plain = values();
  ASSERT_EQ(plain.size(), 128u);
  EXPECT_EQ(plain[96], plain[32] * 64);  // 2^6 between the second scale and the last
  named["x.weight_scale"].dtype = "F8_E8M0";
  EXPECT_EQ(values(), plain);
  refused(named, [](Parts& p) { p["x.weight_scale"].data[3] = '\xFF'; }, "not a number");
  Parts both = named;  // as ModelOpt names them
  both["x.weight"] = both["x.weight_packed"], both.erase("x.weight_packed");
  EXPECT_EQ(outcome(both), "no error");
  both["x.weight_scale_2"] = f32({}, {0.5f});
  unread(both, "another factor");
}

TEST_F(PackedHostile, Experts) {
  Parts good;
  for (const char* e : {"0", "1"}) good[fmt::format("l.experts.{}.up_proj.weight", e)] = f32({2, 2}, {1, 2, 3, 4});
  refused(good, [](Parts& p) { p.erase("l.experts.0.up_proj.weight"); }, "expert 0 is missing");
  refused(good, [](Parts& p) { p["l.experts.01.up_proj.weight"] = p["l.experts.1.up_proj.weight"]; }, "there twice");
  refused(good, [](Parts& p) { p["l.experts.1.up_proj.weight"].shape = {1, 4}; }, "its shape is not that of");
  refused(good, [](Parts& p) { p["l.experts.1.up_proj.scale"] = f32({2}, {1, 1}); }, "no factor of a matrix");
}

TEST_F(PackedHostile, FormsThatAreNotRead) {
  Parts eight = int4();
  eight["x.weight_shape"].data = bytes_of<int64_t>({2, 32});
  unread(eight, "8-bit integers");
  Parts two = int4();
  two["x.weight_shape"].data = bytes_of<int64_t>({2, 128});
  unread(two, "2-bit integers");
  Parts ordered = int4();
  ordered["x.weight_g_idx"] = {"I32", {64}, std::string(256, '\0')};
  unread(ordered, "weight_g_idx");
  unread({{"x.weight", {"F8_E4M3", {2, 2}, "abcd"}}, {"x.weight_scale", f32({1}, {1})}}, "F8_E4M3 values with a scale");
  unread({{"x.weight", {"I8", {2, 2}, "abcd"}}, {"x.weight_scale", f32({1}, {1})}}, "I8 values with a scale");
  unread({{"x.qweight", {"I32", {1, 1}, "abcd"}}}, "GPTQ");
  folder_.put("config.json", R"({"quantization_config":{"quant_method":"compressed-tensors","format":"float-quantized"}})");
  unread(eight, "8-bit integers; the folder says compressed-tensors float-quantized");
  folder_.put("config.json", "{");
  unread(eight, "8-bit integers");
}

TEST_F(PackedHostile, WhatBelongsToOthersStays) {
  Parts p = int4();
  p["model.vision_tower.y.weight_packed"] = {"I32", {1}, "abcd"};  // a form of its own
  p["x.input_scale"] = f32({}, {1});
  p["a.self_attn.k_scale"] = f32({}, {1});
  folder_.put("m.safetensors", safetensors_text(p));
  const auto c = Checkpoint::open(folder_ / "m.safetensors");
  EXPECT_EQ(c->tensors().size(), 2u);
  EXPECT_NE(c->find("x.weight"), nullptr);
  EXPECT_NE(c->find("model.vision_tower.y.weight_packed"), nullptr);
  Parts observed = {{"x.weight", f32({2}, {1, 2})}, {"x.weight_scale", f32({1}, {1})}};  // not quantised yet
  folder_.put("m.safetensors", safetensors_text(observed));
  EXPECT_EQ(Checkpoint::open(folder_ / "m.safetensors")->at("x.weight").dtype, DType::f32);
}

}  // namespace
}  // namespace carat
