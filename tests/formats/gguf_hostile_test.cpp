// Every check on a GGUF file has a file here that only this check refuses, with a message that names file and field.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>

#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "formats/gguf_fields.h"
#include "formats/gguf_write.h"
#include "formats/temp_folder.h"

namespace carat {
namespace {

using testing_gguf::FieldKind;
using testing_gguf::find_field;
using testing_gguf::gguf_fields;

std::string text_of(const GgufWriter& w) {
  const auto bytes = w.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string good() {
  GgufWriter w(64);  // a file with general.alignment in it
  w.add("general.architecture", "gemma4");
  w.add("x.count", uint32_t{3});
  w.add("x.flag", true);
  w.add_array("x.numbers", std::vector<int32_t>{1, 2, 3, 4});
  w.add_array("x.bools", std::vector<bool>{true, false});
  w.add_array("x.strings", std::vector<std::string>{"ab", "c", ""});
  w.add_tensor("first", {2, 16}, std::vector<float>(32, 1.0f));
  w.add_tensor("second", DType::q8_0, {2, 32}, std::vector<std::byte>(68));
  w.add_tensor("third", {3}, std::vector<float>(3, 2.0f));
  return text_of(w);
}

class GgufHostile : public testing::Test {
 protected:
  std::string open(const std::string& bytes) {
    return error_of([&] { Checkpoint::open(folder_.put("bad.gguf", bytes)); });
  }
  // The good file with one field overwritten must be refused by a message that names the file and `what`.
  template <typename T>
  void spoil(FieldKind kind, std::string_view of, T value, std::string_view what, std::string_view code = "corrupt") {
    std::string bytes = good();
    const auto fields = gguf_fields(bytes);
    const auto& f = find_field(fields, kind, of);
    std::memcpy(bytes.data() + f.pos, &value, std::min(sizeof value, f.size));
    refused(bytes, what, code);
  }
  void refused(const std::string& bytes, std::string_view what, std::string_view code = "corrupt") {
    const std::string e = open(bytes);
    EXPECT_EQ(e.substr(0, e.find(':')), code) << e;
    EXPECT_NE(e.find("bad.gguf"), std::string::npos) << e;
    EXPECT_NE(e.find(what), std::string::npos) << "no '" << what << "' in: " << e;
  }
  TempFolder folder_;
};

TEST_F(GgufHostile, TheGoodFileIsGood) { EXPECT_EQ(open(good()), "no error"); }

TEST_F(GgufHostile, MagicAndVersion) {
  spoil(FieldKind::magic, "", 'g', "magic");
  spoil(FieldKind::version, "", uint32_t{0}, "version", "unsupported");
  spoil(FieldKind::version, "", uint32_t{1}, "version", "unsupported");
  spoil(FieldKind::version, "", uint32_t{4}, "version", "unsupported");
  spoil(FieldKind::version, "", uint32_t{0x03000000}, "big-endian", "unsupported");
}

TEST_F(GgufHostile, Counts) {
  for (const int64_t n : {int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{1} << 40, int64_t{40}}) {
    spoil(FieldKind::tensor_count, "", n, "tensor count");
    spoil(FieldKind::key_count, "", n == 40 ? 70 : n, "key count");
  }
  // Within the bound, yet more than there are: the next bytes are no record.
  EXPECT_EQ(open(good()), "no error");
  spoil(FieldKind::tensor_count, "", int64_t{4}, "");
  spoil(FieldKind::key_count, "", int64_t{8}, "");
  spoil(FieldKind::key_count, "", int64_t{6}, "");
}

TEST_F(GgufHostile, TooManyRecordsAreRefusedBeforeTheyAreRead) {
  std::string bytes = good().substr(0, 24);
  bytes.resize(24 + (kMaxTensors + 1) * 25 + 100);
  const int64_t tensors = kMaxTensors + 1, keys = 0;
  std::memcpy(bytes.data() + 8, &tensors, 8);
  std::memcpy(bytes.data() + 16, &keys, 8);
  refused(bytes, "tensor count", "unsupported");
  std::memcpy(bytes.data() + 8, &keys, 8);
  const int64_t many = kMaxGgufKeys + 1;
  std::memcpy(bytes.data() + 16, &many, 8);
  refused(bytes, "key count", "unsupported");
}

TEST_F(GgufHostile, Strings) {
  for (const uint64_t n : {UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 31, uint64_t{5000}}) {
    spoil(FieldKind::key_length, "x.count", n, "metadata key");
    spoil(FieldKind::string_length, "general.architecture", n, "metadata string");
    spoil(FieldKind::string_length, "x.strings", n, "metadata string array");
    spoil(FieldKind::name_length, "second", n, "tensor name");
  }
  spoil(FieldKind::name_length, "second", uint64_t{64}, "at most 63");
}

TEST_F(GgufHostile, Keys) {
  const GgufWriter empty;
  GgufWriter no_name;
  no_name.add("", uint32_t{1});
  refused(text_of(no_name), "metadata key 0: it is empty");
  GgufWriter twice;
  twice.add("a.b", uint32_t{1});
  twice.add("a.c", uint32_t{1});
  twice.add("a.b", uint32_t{2});
  refused(text_of(twice), "metadata 'a.b': it is given twice");
  GgufWriter longest;
  longest.add(std::string(65535, 'k'), uint32_t{1});
  EXPECT_EQ(open(text_of(longest)), "no error");
  GgufWriter longer;
  longer.add(std::string(65536, 'k'), uint32_t{1});
  refused(text_of(longer), "at most 65535");
}

TEST_F(GgufHostile, ValueTypes) {
  for (const int32_t t : {-1, 13, 255, INT32_MAX, INT32_MIN}) {
    spoil(FieldKind::value_type, "x.count", t, "'x.count': value type");
    spoil(FieldKind::array_type, "x.numbers", t, "'x.numbers': value type");
  }
  spoil(FieldKind::array_type, "x.numbers", int32_t{9}, "array of arrays", "unsupported");
  spoil(FieldKind::number, "x.flag", uint8_t{2}, "'x.flag': a bool of 2");
  spoil(FieldKind::array_data, "x.bools", uint8_t{255}, "'x.bools': a bool of 255");
}

TEST_F(GgufHostile, Arrays) {
  for (const uint64_t n : {UINT64_MAX, uint64_t{1} << 62, (uint64_t{1} << 62) + 1, uint64_t{1} << 30, uint64_t{2000}}) {
    spoil(FieldKind::array_count, "x.numbers", n, "'x.numbers': an array");
    spoil(FieldKind::array_count, "x.strings", n, "'x.strings': an array");
  }
  spoil(FieldKind::array_count, "x.strings", uint64_t{40}, "metadata string array");
}

TEST_F(GgufHostile, Alignment) {
  spoil(FieldKind::number, "general.alignment", uint32_t{0}, "general.alignment");
  spoil(FieldKind::number, "general.alignment", uint32_t{48}, "general.alignment");
  spoil(FieldKind::number, "general.alignment", uint32_t{0x80000000u}, "");
  spoil(FieldKind::number, "general.alignment", uint32_t{256}, "'second': offset: 128 is no multiple of the alignment 256");
  spoil(FieldKind::value_type, "general.alignment", int32_t{5}, "general.alignment': must be a u32");
  spoil(FieldKind::value_type, "general.alignment", int32_t{6}, "general.alignment': must be a u32");
}

TEST_F(GgufHostile, TensorNames) {
  GgufWriter w;
  w.add_tensor("", {1}, std::vector<float>(1));
  refused(text_of(w), "tensor 0: name");
  GgufWriter twice;
  twice.add_tensor("same", {1}, std::vector<float>(1));
  twice.add_tensor("same", {1}, std::vector<float>(1));
  refused(text_of(twice), "tensor 'same': it is given twice");
}

TEST_F(GgufHostile, NamesInMessagesArePrintable) {
  GgufWriter w;
  w.add_tensor("a\n\x1b[31m'b", {1}, std::vector<float>(1));
  w.add_tensor("a\n\x1b[31m'b", {1}, std::vector<float>(1));
  const std::string e = open(text_of(w));
  EXPECT_NE(e.find("'a\\x0a\\x1b[31m\\x27b'"), std::string::npos) << e;
}

TEST_F(GgufHostile, TensorShapes) {
  spoil(FieldKind::rank, "second", uint32_t{5}, "'second': 5 dimensions");
  spoil(FieldKind::rank, "second", UINT32_MAX, "'second': 4294967295 dimensions");
  for (const int64_t n : {int64_t{0}, int64_t{-1}, INT64_MIN}) spoil(FieldKind::dimension, "first", n, "'first': shape");
  spoil(FieldKind::dimension, "first", INT64_MAX, "'first': shape: the number of elements");
  spoil(FieldKind::dimension, "first", INT64_MAX / 2, "'first': shape: the number of bytes");
  spoil(FieldKind::dimension, "first", int64_t{1} << 40, "'first': offset");
  spoil(FieldKind::dimension, "second", int64_t{33}, "'second': shape: rows of 33");
  spoil(FieldKind::dimension, "second", int64_t{16}, "'second': shape: rows of 16");
}

TEST_F(GgufHostile, TensorTypes) {
  for (const int32_t t : {-1, 4, 5, 9, 17, 38, 1000, INT32_MAX, INT32_MIN}) spoil(FieldKind::tensor_type, "first", t, "'first': type", "unsupported");
  spoil(FieldKind::tensor_type, "first", int32_t{17}, "IQ2_XS", "unsupported");
  spoil(FieldKind::tensor_type, "first", int32_t{12}, "'first': shape: rows of 16 are no multiple of Q4_K");
}

TEST_F(GgufHostile, TensorOffsets) {
  spoil(FieldKind::tensor_offset, "second", uint64_t{1}, "'second': offset: 1 is no multiple");
  spoil(FieldKind::tensor_offset, "second", uint64_t{64}, "overlap");
  spoil(FieldKind::tensor_offset, "second", uint64_t{0}, "overlap");
  spoil(FieldKind::tensor_offset, "third", uint64_t{0}, "overlap");
  spoil(FieldKind::tensor_offset, "second", uint64_t{1} << 20, "'second': offset");
  spoil(FieldKind::tensor_offset, "second", uint64_t{0} - 64, "'second': offset");
  spoil(FieldKind::tensor_offset, "second", uint64_t{1} << 63, "'second': offset");
}

TEST_F(GgufHostile, EveryCutIsRefused) {
  const std::string bytes = good();
  // The last tensor's padding may be missing, nothing else.
  const size_t needed = bytes.size() - 64 + 12;
  for (size_t n = 0; n < needed; ++n) {
    const std::string e = open(bytes.substr(0, n));
    EXPECT_EQ(e.substr(0, 8), "corrupt:") << n << ": " << e;
  }
  for (size_t n = needed; n <= bytes.size(); ++n) EXPECT_EQ(open(bytes.substr(0, n)), "no error") << n;
}

TEST_F(GgufHostile, EveryByteFlippedIsReadOrRefused) {
  const std::string bytes = good();
  const size_t header = testing_gguf::FieldWalker(bytes).header_end();
  for (size_t i = 0; i < header; ++i)
    for (const int x : {0x01, 0x80, 0xFF}) {
      std::string bad = bytes;
      bad[i] = static_cast<char>(bad[i] ^ x);
      open(bad);  // anything but Error fails the test
    }
}

TEST_F(GgufHostile, MoreTensorDataThanTheFileHoldsIsNeverAllocated) {
  // A sparse file of 1 TiB, "header" included: only what the fields really cover may cost memory.
  std::string bytes = good();
  const auto fields = gguf_fields(bytes);
  const uint64_t count = uint64_t{1} << 37;
  std::memcpy(bytes.data() + find_field(fields, FieldKind::array_count, "x.numbers").pos, &count, 8);
  folder_.put("bad.gguf", bytes);
  std::error_code ec;
  std::filesystem::resize_file(folder_ / "bad.gguf", uint64_t{1} << 40, ec);
  if (ec) GTEST_SKIP() << "no sparse files here: " << ec.message();
  const std::string e = error_of([&] { Checkpoint::open(folder_ / "bad.gguf"); });
  EXPECT_TRUE(e.starts_with("unsupported") || e.starts_with("exhausted")) << e;
}

}  // namespace
}  // namespace carat
