#include "fuzz/seeds.h"

#include <cstring>
#include <fstream>
#include <stdexcept>

#include "base/file.h"
#include "formats/gguf_write.h"

namespace carat::fuzz {
namespace fs = std::filesystem;

Seed load_seed(const fs::path& file, const fs::path& work, size_t number) {
  Seed seed;
  seed.file = fs::canonical(file);
  seed.bytes = read_text_file(file, uint64_t{64} << 20);
  seed.folder = work / std::to_string(number);
  fs::create_directories(seed.folder);
  const std::string extension = file.extension();
  if (extension == ".gguf") {
    seed.kind = SeedKind::gguf;
    seed.fields = testing_gguf::gguf_fields(seed.bytes);
  } else if (extension == ".safetensors") {
    seed.kind = SeedKind::safetensors;
  } else if (extension == ".json") {
    seed.kind = SeedKind::json;
  } else {
    throw std::runtime_error(file.string() + ": seeds are .gguf, .safetensors and .json files");
  }
  for (const auto& neighbour : fs::directory_iterator(seed.file.parent_path()))
    if (neighbour.is_regular_file() && neighbour.path() != seed.file)
      fs::create_symlink(fs::canonical(neighbour.path()), seed.folder / neighbour.path().filename());
  seed.given = seed.kind == SeedKind::gguf ? seed.folder / seed.file.filename() : seed.folder;
  return seed;
}

namespace {

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string safetensors(const std::string& header, size_t data) {
  std::string out(8, '\0');
  const uint64_t n = header.size();
  std::memcpy(out.data(), &n, 8);
  return out + header + std::string(data, '\1');
}

}  // namespace

std::vector<fs::path> write_builtin_seeds(const fs::path& folder) {
  const fs::path one = folder / "one", split = folder / "split", shards = folder / "shards", packed = folder / "packed";
  for (const auto& f : {one, split, shards, packed}) fs::create_directories(f);

  GgufWriter w;
  w.add("general.architecture", "gemma3");
  w.add("general.alignment", uint32_t{32});
  w.add("gemma3.block_count", uint32_t{1});
  w.add("a.u8", uint8_t{1});
  w.add("a.i16", int16_t{-2});
  w.add("a.i32", int32_t{-3});
  w.add("a.u64", uint64_t{4});
  w.add("a.f32", 0.5f);
  w.add("a.f64", 0.25);
  w.add("a.bool", true);
  w.add_array("b.i32", std::vector<int32_t>{1, 2, 3});
  w.add_array("b.f32", std::vector<float>{1, 2, 3});
  w.add_array("b.bool", std::vector<bool>{true, false});
  w.add("tokenizer.ggml.model", "llama");
  w.add_array("tokenizer.ggml.tokens", std::vector<std::string>{"<pad>", "<eos>", "<bos>", "<unk>", "<0x00>", "<0x01>", "a", "b", "ab",
                                                                "\xe2\x96\x81"
                                                                "a"});
  w.add_array("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, 0, 0, 0, -1, -2, -3, -4});
  w.add_array("tokenizer.ggml.token_type", std::vector<int32_t>{3, 3, 3, 2, 6, 6, 1, 1, 1, 1});
  w.add_tensor("token_embd.weight", {10, 32}, std::vector<float>(320, 0.5f));
  w.add_tensor("q4", DType::q4_k, {2, 256}, std::vector<std::byte>(288));
  w.add_tensor("q8", DType::q8_0, {3, 64}, std::vector<std::byte>(204));
  w.add_tensor("cube", {2, 3, 4}, std::vector<float>(24, 1.0f));
  w.write(one / "small.gguf");

  GgufWriter p(64);
  p.add("general.architecture", "gemma3");
  p.name_layout();
  p.add_tensor("norm", {4}, std::vector<float>(4, 1.0f));
  p.add_panels("q4", DType::q4_k, {2, 256}, std::vector<std::byte>(288, std::byte{0x5A}));
  p.add_panels("stack", DType::q5_0, {2, 17, 32}, std::vector<std::byte>(2 * 17 * 22, std::byte{0x33}));
  p.write(one / "panels.gguf");

  for (uint16_t i = 0; i < 2; ++i) {
    GgufWriter part;
    part.add("split.no", i);
    part.add("split.count", uint16_t{2});
    part.add("split.tensors.count", int32_t{2});
    part.add_tensor(i == 0 ? "x" : "y", {8}, std::vector<float>(8, 1.0f));
    part.write(split / (i == 0 ? "m-00001-of-00002.gguf" : "m-00002-of-00002.gguf"));
  }

  write_text(shards / "a.safetensors", safetensors(R"({"__metadata__":{"format":"pt"},"t.a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})", 16));
  write_text(shards / "b.safetensors",
             safetensors(R"({"t.b":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},"t.c":{"dtype":"U8","shape":[],"data_offsets":[6,7]}})", 7));
  write_text(shards / "model.safetensors.index.json",
             R"({"metadata":{"total_size":23},"weight_map":{"t.a":"a.safetensors","t.b":"b.safetensors","t.c":"b.safetensors"}})");

  // One matrix in each 4-bit form: codes, scales, factor or shape (every byte of data is 1).
  std::string int4 = safetensors(R"({"i.weight_packed":{"dtype":"I32","shape":[2,4],"data_offsets":[0,32]},)"
                                 R"("i.weight_scale":{"dtype":"BF16","shape":[2,1],"data_offsets":[32,36]},)"
                                 R"("i.weight_shape":{"dtype":"I64","shape":[2],"data_offsets":[36,52]},)"
                                 R"("i.weight_zero_point":{"dtype":"I32","shape":[1,1],"data_offsets":[52,56]}})",
                                 56);
  const uint64_t dimensions[] = {2, 32};
  std::memcpy(int4.data() + int4.size() - 20, dimensions, sizeof dimensions);
  write_text(packed / "int4.safetensors", int4);
  write_text(packed / "fp4.safetensors", safetensors(R"({"l.experts.0.up_proj.weight":{"dtype":"U8","shape":[2,32],"data_offsets":[0,64]},)"
                                                     R"("l.experts.0.up_proj.weight_scale":{"dtype":"F8_E4M3","shape":[2,4],"data_offsets":[64,72]},)"
                                                     R"("l.experts.0.up_proj.weight_scale_2":{"dtype":"F32","shape":[],"data_offsets":[72,76]},)"
                                                     R"("m.weight_packed":{"dtype":"U8","shape":[2,16],"data_offsets":[76,108]},)"
                                                     R"("m.weight_scale":{"dtype":"U8","shape":[2,1],"data_offsets":[108,110]}})",
                                                     110));
  return {packed / "int4.safetensors",
          packed / "fp4.safetensors",
          one / "small.gguf",
          one / "panels.gguf",
          split / "m-00001-of-00002.gguf",
          shards / "a.safetensors",
          shards / "model.safetensors.index.json"};
}

}  // namespace carat::fuzz
