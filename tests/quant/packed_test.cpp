// A packed file computes the very bits of the file it was made from, in place; and becomes that file again.
#include <gtest/gtest.h>

#include <cstring>

#include "formats/gguf_write.h"
#include "formats/temp_folder.h"
#include "kernels/kernels.h"
#include "quant/quantise.h"
#include "support/golden.h"
#include "support/single_sequence.h"
#include "tensor/dequantise.h"

namespace carat::quant {
namespace {

std::filesystem::path tiny(const char* name) { return std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/models" / name; }

void convert(const std::filesystem::path& in, const std::filesystem::path& out, const char* type, bool packed) {
  const Source source = Source::open(in);
  const Recipe& recipe = find_recipe(type);
  const Plan plan = make_plan(source, recipe, {}, false, packed);
  quantise(source, plan, recipe, out, {});
  EXPECT_EQ(std::filesystem::file_size(out), plan.file_bytes);
}

std::vector<float> logits(const std::filesystem::path& path, Ops& ops, uint64_t* mapped = nullptr) {
  const auto model = Model::load(Checkpoint::open(path), ops);
  if (mapped) *mapped = model->mapped_weight_bytes();
  test::SingleSequence sequence(*model, ops, DType::f32, 64);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 40; ++i) ids.push_back(i * 37 % static_cast<int32_t>(model->config().vocab_size));
  const Tensor all = sequence.run(ids);
  std::vector<float> out(all.data, all.data + all.size());
  const Tensor next = sequence.run({ids.back()});
  out.insert(out.end(), next.data, next.data + next.size());
  return out;
}

void expect_same_bits(const std::filesystem::path& plain, const std::filesystem::path& packed) {
  std::vector<std::unique_ptr<Ops>> backends;
  const kernels::TableList tables = kernels::available_tables();
  for (int i = 0; i < tables.count; ++i) backends.push_back(make_cpu_ops({2, tables.tables[i]->name}));
  backends.push_back(make_ref_ops());
  for (const auto& ops : backends) {
    uint64_t mapped = 0;
    const std::vector<float> want = logits(plain, *ops), got = logits(packed, *ops, &mapped);
    ASSERT_EQ(want.size(), got.size());
    EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size() * sizeof(float)), 0) << plain << " " << ops->name();
    EXPECT_EQ(mapped > 0, std::string_view(ops->name()) != "ref") << ops->name();
  }
}

TEST(Packed, TheSameBitsOnEveryBackend) {
  const TempFolder folder;
  for (const char* name : {"tiny-e2b-Q4_K_M.gguf", "tiny-gemma3-Q4_K_M.gguf"}) {
    convert(tiny(name), folder / "packed.gguf", "keep", true);
    expect_same_bits(tiny(name), folder / "packed.gguf");
  }
}

// The experts of a stack are matrices of their own.
TEST(Packed, Experts) {
  if (!test::have_golden()) GTEST_SKIP() << "reference models are not at " << test::shared_dir();
  const TempFolder folder;
  for (const char* type : {"q8_0", "q5_0", "bf16"}) {
    convert(test::golden("models/tiny-26b/hf"), folder / "plain.gguf", type, false);
    convert(folder / "plain.gguf", folder / "packed.gguf", "keep", true);
    expect_same_bits(folder / "plain.gguf", folder / "packed.gguf");
  }
}

TEST(Packed, AndBackAgain) {
  const TempFolder folder;
  for (const char* name : {"tiny-e2b-Q4_K_M.gguf", "tiny-gemma3-Q4_K_M.gguf"}) {
    convert(tiny(name), folder / "plain.gguf", "keep", false);
    convert(tiny(name), folder / "packed.gguf", "keep", true);
    convert(folder / "packed.gguf", folder / "again.gguf", "keep", false);
    convert(folder / "packed.gguf", folder / "twice.gguf", "keep", true);
    const auto bytes = [&](const char* file) { return read_text_file(folder / file, uint64_t{1} << 30); };
    EXPECT_EQ(bytes("plain.gguf"), bytes("again.gguf")) << name;
    EXPECT_EQ(bytes("packed.gguf"), bytes("twice.gguf")) << name;
    const auto packed = Checkpoint::open(folder / "packed.gguf"), plain = Checkpoint::open(tiny(name));
    EXPECT_EQ(packed->meta_int("general.file_type"), plain->meta_int("general.file_type"));
    for (const TensorInfo& t : packed->tensors()) {
      EXPECT_EQ(t.dtype, plain->at(t.name).dtype) << t.name;
      EXPECT_EQ(t.panels, t.shape.size() > 1 && t.name != "per_layer_token_embd.weight") << t.name;
    }
  }
}

// Quantised and packed at once, the values are those of the file that is only quantised.
TEST(Packed, QuantisedOnTheWay) {
  const TempFolder folder;
  for (const char* type : {"q4_k_m", "nvfp4", "f16"}) {
    convert(tiny("tiny-e2b-Q4_K_M.gguf"), folder / "plain.gguf", type, false);
    convert(tiny("tiny-e2b-Q4_K_M.gguf"), folder / "packed.gguf", type, true);
    const auto plain = Checkpoint::open(folder / "plain.gguf"), packed = Checkpoint::open(folder / "packed.gguf");
    ASSERT_EQ(plain->tensors().size(), packed->tensors().size());
    for (const TensorInfo& t : plain->tensors()) EXPECT_EQ(t.to_f32(), packed->at(t.name).to_f32()) << type << " " << t.name;
  }
}

}  // namespace
}  // namespace carat::quant
