// Reading of good GGUF files: what was written comes back, split files are one model.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/output_file.h"
#include "formats/checkpoint.h"
#include "formats/gguf_write.h"
#include "formats/temp_folder.h"

namespace carat {
namespace {

std::vector<float> ramp(size_t n) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), 0.5f);
  return v;
}

TEST(Gguf, MetadataComesBack) {
  const TempFolder folder;
  GgufWriter w;
  w.add("general.architecture", "gemma4");
  w.add("a.u8", uint8_t{200});
  w.add("a.i8", int8_t{-100});
  w.add("a.u16", uint16_t{60000});
  w.add("a.i16", int16_t{-30000});
  w.add("a.u32", uint32_t{4000000000u});
  w.add("a.i32", int32_t{-2000000000});
  w.add("a.u64", uint64_t{1} << 63);
  w.add("a.i64", INT64_MIN);
  w.add("a.f32", 0.5f);
  w.add("a.f64", 1e-300);
  w.add("a.yes", true);
  w.add("a.no", false);
  w.add_array("b.i32", std::vector<int32_t>{-1, 2, -3});
  w.add_array("b.u32", std::vector<uint32_t>{4000000000u});
  w.add_array("b.f32", std::vector<float>{1.5f, -2.5f});
  w.add_array("b.bool", std::vector<bool>{true, false, true});
  w.add_array("b.string", std::vector<std::string>{"", "x", std::string("a\0\xff", 3), "last"});
  w.add_array("b.none", std::vector<std::string>{});
  w.write(folder / "m.gguf");
  const auto c = Checkpoint::open(folder / "m.gguf");
  EXPECT_EQ(c->kind(), CheckpointKind::gguf);
  EXPECT_EQ(c->path(), folder / "m.gguf");
  EXPECT_EQ(c->file_bytes(), std::filesystem::file_size(folder / "m.gguf"));
  EXPECT_TRUE(c->tensors().empty());
  ASSERT_EQ(c->metadata().size(), 19u);
  EXPECT_EQ(c->metadata()[0].first, "general.architecture");
  EXPECT_EQ(c->meta_string("general.architecture"), "gemma4");
  EXPECT_EQ(c->meta_int("a.u8"), 200);
  EXPECT_EQ(c->meta_int("a.i8"), -100);
  EXPECT_EQ(c->meta_int("a.u16"), 60000);
  EXPECT_EQ(c->meta_int("a.i16"), -30000);
  EXPECT_EQ(c->meta_int("a.u32"), 4000000000);
  EXPECT_EQ(c->meta_int("a.i32"), -2000000000);
  EXPECT_EQ(c->meta_int("a.i64"), INT64_MIN);
  EXPECT_EQ(c->meta_float("a.f32"), 0.5);
  EXPECT_EQ(c->meta_float("a.f64"), 1e-300);
  EXPECT_EQ(c->meta_bool("a.yes"), true);
  EXPECT_EQ(c->meta_bool("a.no"), false);
  EXPECT_EQ(c->meta_ints("b.i32"), (std::vector<int64_t>{-1, 2, -3}));
  EXPECT_EQ(c->meta_ints("b.u32"), (std::vector<int64_t>{4000000000}));
  EXPECT_EQ(c->meta_ints("b.bool"), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(c->meta_floats("b.f32"), (std::vector<double>{1.5, -2.5}));
  const MetaStrings* s = c->meta_strings("b.string");
  ASSERT_NE(s, nullptr);
  EXPECT_EQ(std::vector<std::string>(s->begin(), s->end()), (std::vector<std::string>{"", "x", std::string("a\0\xff", 3), "last"}));
  EXPECT_TRUE(c->meta_strings("b.none")->empty());

  // Absent is a value; another type or a number out of range is an error that names file and key.
  EXPECT_FALSE(c->meta_int("zzz").has_value());
  EXPECT_FALSE(c->meta_ints("").has_value());
  EXPECT_EQ(c->meta_strings("zzz"), nullptr);
  EXPECT_EQ(c->meta("zzz"), nullptr);
  const auto refused = [&](auto f, std::string_view key) {
    const std::string e = error_of(f);
    EXPECT_EQ(e.substr(0, 7), "corrupt") << e;
    EXPECT_NE(e.find("m.gguf"), std::string::npos) << e;
    EXPECT_NE(e.find(key), std::string::npos) << e;
  };
  refused([&] { c->meta_int("a.u64"); }, "a.u64");
  refused([&] { c->meta_int("a.yes"); }, "a.yes");
  refused([&] { c->meta_int("a.f32"); }, "a.f32");
  refused([&] { c->meta_float("a.u8"); }, "a.u8");
  refused([&] { c->meta_bool("a.u8"); }, "a.u8");
  refused([&] { c->meta_string("b.string"); }, "b.string");
  refused([&] { c->meta_ints("b.f32"); }, "b.f32");
  refused([&] { c->meta_ints("b.string"); }, "b.string");
  refused([&] { c->meta_ints("a.u8"); }, "a.u8");
  refused([&] { c->meta_floats("b.i32"); }, "b.i32");
  refused([&] { c->meta_strings("b.i32"); }, "b.i32");
  refused([&] { c->meta_strings("general.architecture"); }, "general.architecture");
}

TEST(Gguf, TensorsComeBack) {
  const TempFolder folder;
  for (const uint32_t alignment : {1u, 8u, 32u, 4096u}) {
    GgufWriter w(alignment);
    const auto a = ramp(24), b = ramp(1);
    std::vector<std::byte> q(2 * 3 * 34);
    for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<std::byte>(i);
    w.add_tensor("a", {2, 3, 4}, a);
    w.add_tensor("scalar", {}, b);
    w.add_tensor("q", DType::q8_0, {3, 64}, q);
    w.write(folder / "m.gguf");
    const auto c = Checkpoint::open(folder / "m.gguf");
    ASSERT_EQ(c->tensors().size(), 3u);
    EXPECT_EQ(c->tensors()[1].name, "scalar");
    const TensorInfo& t = c->at("a");
    EXPECT_EQ(t.shape, (std::vector<int64_t>{2, 3, 4}));
    EXPECT_EQ(t.cols(), 4);
    EXPECT_EQ(t.rows(), 6);
    EXPECT_EQ(t.elements(), 24);
    EXPECT_EQ(t.nbytes, 96u);
    EXPECT_EQ(t.to_f32(), a);
    EXPECT_EQ(c->at("scalar").elements(), 1);
    EXPECT_EQ(c->at("scalar").to_f32(), b);
    std::vector<float> rows(8);
    t.read_rows(3, 2, reinterpret_cast<std::byte*>(rows.data()));
    EXPECT_EQ(rows, std::vector<float>(a.begin() + 12, a.begin() + 20));
    std::vector<std::byte> back(q.size());
    c->at("q").read_rows(0, 3, back.data());
    EXPECT_EQ(back, q);
    EXPECT_EQ(c->at("q").bytes_per_row(), 68);
    EXPECT_EQ(c->find("b"), nullptr);
    EXPECT_NE(error_of([&] { c->at("b"); }).find("'b' is missing"), std::string::npos);
    for (const auto& [row, n] : std::vector<std::pair<int64_t, int64_t>>{{0, 7}, {6, 1}, {-1, 1}, {0, -1}, {7, 0}, {INT64_MAX, 1}, {1, INT64_MAX}})
      EXPECT_EQ(error_of([&] { t.read_rows(row, n, nullptr); }).substr(0, 16), "invalid_argument") << row << " " << n;
    EXPECT_FALSE(c->side_file("config.json").has_value());
  }
}

TEST(Gguf, Version2IsReadToo) {
  const TempFolder folder;
  GgufWriter w;
  w.add("k", uint32_t{7});
  auto bytes = w.bytes();
  bytes[4] = std::byte{2};
  write_file_atomically(folder / "m.gguf", bytes);
  EXPECT_EQ(Checkpoint::open(folder / "m.gguf")->meta_int("k"), 7);
}

TEST(Gguf, TheNameOfTheFileDoesNotMatter) {
  const TempFolder folder;
  GgufWriter w;
  w.add("k", uint32_t{7});
  w.write(folder / "blob");
  EXPECT_EQ(Checkpoint::open(folder / "blob")->kind(), CheckpointKind::gguf);
}

// Parts "m-0000i-of-00003.gguf" with one tensor each.
void write_parts(const TempFolder& folder, uint16_t count, int32_t announced, int wrong_part = -1) {
  for (uint16_t i = 0; i < count; ++i) {
    GgufWriter w;
    w.add("split.no", static_cast<uint16_t>(i == wrong_part ? i + 1 : i));
    w.add("split.count", count);
    w.add("split.tensors.count", announced);
    if (i == 0) w.add("general.architecture", "gemma4");
    w.add_tensor(fmt::format("t{}", i), {4}, std::vector<float>(4, static_cast<float>(i)));
    w.write(folder / fmt::format("m-{:05}-of-{:05}.gguf", i + 1, count));
  }
}

TEST(Gguf, SplitFilesAreOneModel) {
  const TempFolder folder;
  write_parts(folder, 3, 3);
  const auto c = Checkpoint::open(folder / "m-00001-of-00003.gguf");
  ASSERT_EQ(c->tensors().size(), 3u);
  EXPECT_EQ(c->at("t2").to_f32(), std::vector<float>(4, 2.0f));
  EXPECT_EQ(c->meta_string("general.architecture"), "gemma4");
  uint64_t bytes = 0;
  for (const auto& f : std::filesystem::directory_iterator(folder.path())) bytes += f.file_size();
  EXPECT_EQ(c->file_bytes(), bytes);
}

TEST(Gguf, SplitFilesThatDoNotFitTogetherAreRefused) {
  const TempFolder folder;
  const auto expect = [&](std::string_view file, std::string_view what) {
    const std::string e = error_of([&] { Checkpoint::open(folder / file); });
    EXPECT_NE(e.find(what), std::string::npos) << e;
  };
  write_parts(folder, 3, 3);
  expect("m-00002-of-00003.gguf", "open the first part");
  std::filesystem::copy_file(folder / "m-00001-of-00003.gguf", folder / "other.gguf");
  expect("other.gguf", "-00001-of-00003.gguf");
  std::filesystem::remove(folder / "m-00003-of-00003.gguf");
  expect("m-00001-of-00003.gguf", "m-00003-of-00003.gguf: no such file");
  write_parts(folder, 3, 4);
  expect("m-00001-of-00003.gguf", "split.tensors.count");
  write_parts(folder, 3, 3, 2);
  expect("m-00001-of-00003.gguf", "split.no");
  write_parts(folder, 3, 3);
  std::filesystem::copy_file(folder / "m-00003-of-00003.gguf", folder / "m-00002-of-00003.gguf", std::filesystem::copy_options::overwrite_existing);
  expect("m-00001-of-00003.gguf", "split.no");
  GgufWriter w;
  w.add("split.no", uint16_t{1});
  w.add("split.count", uint16_t{3});
  w.add_tensor("t0", {1}, std::vector<float>{1});
  w.write(folder / "m-00002-of-00003.gguf");
  expect("m-00001-of-00003.gguf", "'t0': it is given twice");
  GgufWriter huge;
  huge.add("split.count", uint16_t{65535});
  huge.write(folder / "h.gguf");
  expect("h.gguf", "split.count");
  GgufWriter text;
  text.add("split.count", "three");
  text.write(folder / "t.gguf");
  expect("t.gguf", "split.count");
}

}  // namespace
}  // namespace carat
