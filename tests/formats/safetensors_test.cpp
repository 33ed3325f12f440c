// safetensors files and folders: good ones come back, every check has a file that it refuses.
#include <gtest/gtest.h>

#include <cstring>

#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "formats/temp_folder.h"

namespace carat {
namespace {

std::string file_of(const std::string& header, size_t data) {
  std::string out(8, '\0');
  const uint64_t n = header.size();
  std::memcpy(out.data(), &n, 8);
  out += header;
  for (size_t i = 0; i < data; ++i) out += static_cast<char>(i);
  return out;
}

const char* const kGood = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                          R"("b\u00e9":{"data_offsets":[24,32],"shape":[4],"dtype":"BF16"},"s":{"dtype":"I64","shape":[],"data_offsets":[32,40]}}   )";

class Safetensors : public testing::Test {
 protected:
  std::string open(const std::string& bytes) {
    return error_of([&] { Checkpoint::open(folder_.put("bad.safetensors", bytes)); });
  }
  void refused(const std::string& bytes, std::string_view what, std::string_view code = "corrupt") {
    const std::string e = open(bytes);
    EXPECT_EQ(e.substr(0, e.find(':')), code) << e;
    EXPECT_NE(e.find("bad.safetensors"), std::string::npos) << e;
    EXPECT_NE(e.find(what), std::string::npos) << "no '" << what << "' in: " << e;
  }
  // One tensor "t" described by these members, with this much data.
  void refused_tensor(const std::string& members, size_t data, std::string_view what, std::string_view code = "corrupt") {
    refused(file_of("{\"t\":{" + members + "}}", data), "tensor 't': " + std::string(what), code);
  }
  TempFolder folder_;
};

TEST_F(Safetensors, TensorsComeBack) {
  const auto c = Checkpoint::open(folder_.put("m.safetensors", file_of(kGood, 40)));
  EXPECT_EQ(c->kind(), CheckpointKind::hf_folder);
  ASSERT_EQ(c->tensors().size(), 3u);
  EXPECT_EQ(c->at("a").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(c->at("a").nbytes, 24u);
  EXPECT_EQ(c->at("b\xc3\xa9").dtype, DType::bf16);
  EXPECT_EQ(c->at("s").rows(), 1);
  EXPECT_TRUE(c->at("s").shape.empty());
  std::byte row[12];
  c->at("a").read_rows(1, 1, row);
  EXPECT_EQ(row[0], std::byte{12});
  EXPECT_EQ(c->at("a").to_f32().size(), 6u);
  EXPECT_EQ(error_of([&] { c->at("s").to_f32(); }).substr(0, 11), "unsupported");
  EXPECT_TRUE(c->metadata().empty());
  EXPECT_FALSE(c->meta_int("format").has_value());
  folder_.put("config.json", "{}");
  EXPECT_EQ(c->side_file("config.json"), "{}");
  EXPECT_FALSE(c->side_file("tokenizer.json").has_value());
  for (const char* name : {"", "../x", "/etc/passwd", "a/b", ".hidden", "..", "a\nb"})
    EXPECT_EQ(error_of([&] { c->side_file(name); }).substr(0, 16), "invalid_argument") << name;
}

TEST_F(Safetensors, HeaderLength) {
  refused("", "empty");
  refused("123456789", "too few");
  std::string bytes = file_of(kGood, 40);
  for (const uint64_t n : {UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 32, bytes.size() - 7}) {
    std::memcpy(bytes.data(), &n, 8);
    refused(bytes, "header length");
  }
  std::filesystem::resize_file(folder_.put("bad.safetensors", bytes), 300'000'000);
  std::string start = bytes.substr(0, 300);
  const uint64_t too_long = kMaxSafetensorsHeader + 1;
  std::memcpy(start.data(), &too_long, 8);
  folder_.put("bad.safetensors", start);
  std::filesystem::resize_file(folder_ / "bad.safetensors", 300'000'000);
  const std::string e = error_of([&] { Checkpoint::open(folder_ / "bad.safetensors"); });
  EXPECT_EQ(e.substr(0, 11), "unsupported") << e;
  EXPECT_NE(e.find("header length"), std::string::npos) << e;
}

TEST_F(Safetensors, HeaderMustBeJson) {
  for (const char* header : {"[]  ", "{ ", "{}x", "{\"a\"}", "{\"a\":}", "{\"a\":{}", "{\"a\":1}", "{,}", "null", "{\"a\":{\"dtype\":\"F32\",}}",
                             "{\"\\ud800\":{}}", "{\"\\x\":{}}", "{\"\\u12g4\":{}}", "{\"a\nb\":{}}", "{\"a"})
    refused(file_of(header, 0), "header");
  refused(file_of("{\"\xff\":{}}", 0), "UTF-8");
  refused(file_of("{\"__metadata__\":{\"a\":1}}", 0), "header");
  refused(file_of("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "__metadata__");
  std::string deep(100000, '[');
  refused(file_of("{\"a\":" + deep, 0), "nesting");
  refused(file_of("{\"t\":{\"dtype\":\"F32\",\"shape\":" + deep, 0), "nesting");
  EXPECT_EQ(open(file_of("{}", 0)), "no error");
  EXPECT_EQ(open(file_of(" {\n\t\"t\" : { \"dtype\" : \"U8\" , \"shape\" : [ 1 ] , \"data_offsets\" : [ 0 , 1 ] } } ", 1)), "no error");
}

TEST_F(Safetensors, TensorFields) {
  refused_tensor(R"("shape":[1],"data_offsets":[0,4])", 4, "dtype: it is missing");
  refused_tensor(R"("dtype":"F32","data_offsets":[0,4])", 4, "shape: it is missing");
  refused_tensor(R"("dtype":"F32","shape":[1])", 4, "data_offsets: it is missing");
  refused_tensor(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])", 4, "dtype: it is given twice");
  refused_tensor(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])", 4, "shape: it is given twice");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4])", 4, "data_offsets: it is given twice");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1)", 4, "'more'");
  refused_tensor(R"("dtype":"F64","shape":[1],"data_offsets":[0,8])", 8, "dtype: 'F64'", "unsupported");
  refused_tensor(R"("dtype":"","shape":[1],"data_offsets":[0,8])", 8, "dtype: ''", "unsupported");
  refused_tensor(R"("dtype":"F32","shape":[0],"data_offsets":[0,0])", 0, "shape: dimension 0 is 0");
  refused_tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])", 4, "shape");
  refused_tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])", 4, "shape: more than 8");
  refused_tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])", 4, "shape: the number of elements");
  refused_tensor(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])", 4, "shape: the number of bytes");
  refused_tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4, "data_offsets: 4 bytes, the shape needs 8");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])", 4, "data_offsets");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,5])", 4, "data_offsets");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,0])", 4, "data_offsets");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])", 4, "data_offsets: two");
  refused_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])", 4, "data_offsets: more");
  for (const char* n : {"-1", "1.0", "1e0", "01", "\"1\"", "18446744073709551616", "null", "[1]"})
    refused(file_of(std::string(R"({"t":{"dtype":"F32","shape":[)") + n + R"(],"data_offsets":[0,4]}})", 4), "header");
  refused(file_of(R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), "name");
  refused(file_of("{\"" + std::string(1025, 'n') + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), "name");
}

TEST_F(Safetensors, TensorsMustCoverTheData) {
  const auto two = [](const char* a, const char* b) {
    return std::string(R"({"t":{"dtype":"F32","shape":[1],"data_offsets":)") + a + R"(},"u":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}";
  };
  EXPECT_EQ(open(file_of(two("[4,8]", "[0,4]"), 8)), "no error");
  refused(file_of(two("[0,4]", "[0,4]"), 4), "overlaps");
  refused(file_of(two("[0,4]", "[2,6]"), 6), "tensor 'u': data_offsets: it overlaps");
  refused(file_of(two("[0,4]", "[8,12]"), 12), "tensor 'u': data_offsets: it leaves a hole");
  refused(file_of(two("[4,8]", "[8,12]"), 12), "tensor 't': data_offsets: it leaves a hole");
  refused(file_of(two("[0,4]", "[4,8]"), 9), "data_offsets: the tensors end");
  refused(file_of("{}", 1), "data_offsets: the tensors end");
  refused(file_of(R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8),
          "tensor 't': it is given twice");
}

TEST_F(Safetensors, EveryCutIsRefused) {
  const std::string bytes = file_of(kGood, 40);
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_EQ(open(bytes.substr(0, n)).substr(0, 8), "corrupt:") << n;
}

TEST_F(Safetensors, EveryByteFlippedIsReadOrRefused) {
  const std::string bytes = file_of(kGood, 40);
  for (size_t i = 0; i < bytes.size() - 40; ++i)
    for (const int x : {0x01, 0x02, 0x10, 0x80}) {
      std::string bad = bytes;
      bad[i] = static_cast<char>(bad[i] ^ x);
      open(bad);
    }
}

class SafetensorsFolder : public testing::Test {
 protected:
  std::string one(const std::string& name) { return file_of("{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4); }
  void index(const std::string& map) { folder_.put("model.safetensors.index.json", R"({"metadata":{"total_size":8,"x":[{}]},"weight_map":)" + map + "}"); }
  std::string open() {
    return error_of([&] { Checkpoint::open(folder_.path()); });
  }
  void refused(std::string_view what, std::string_view code = "corrupt") {
    const std::string e = open();
    EXPECT_EQ(e.substr(0, e.find(':')), code) << e;
    EXPECT_NE(e.find(what), std::string::npos) << "no '" << what << "' in: " << e;
  }
  TempFolder folder_;
};

TEST_F(SafetensorsFolder, ShardsAreOneModel) {
  folder_.put("m-1.safetensors", one("a"));
  folder_.put("m-2.safetensors", one("b"));
  folder_.put("config.json", "{\"x\":1}");
  index(R"({"b":"m-2.safetensors","a":"m-1.safetensors"})");
  const auto c = Checkpoint::open(folder_.path());
  ASSERT_EQ(c->tensors().size(), 2u);
  EXPECT_EQ(c->at("b").file->name(), (folder_ / "m-2.safetensors").string());
  EXPECT_EQ(c->side_file("config.json"), "{\"x\":1}");
  EXPECT_EQ(c->file_bytes(), 2 * one("a").size());
  // Without an index: every file of the folder; model.safetensors alone if it is there.
  std::filesystem::remove(folder_ / "model.safetensors.index.json");
  EXPECT_EQ(Checkpoint::open(folder_.path())->tensors().size(), 2u);
  folder_.put("model.safetensors", one("c"));
  EXPECT_EQ(Checkpoint::open(folder_.path())->tensors().size(), 1u);
}

TEST_F(SafetensorsFolder, IndexIsChecked) {
  folder_.put("m-1.safetensors", one("a"));
  folder_.put("m-2.safetensors", one("b"));
  for (const char* name : {"../m-1.safetensors", "/m-1.safetensors", "x/m.safetensors", "..", "", ".m.safetensors", "m-1.bin", "m\\\\1.safetensors"}) {
    index(std::string(R"({"a":")") + name + "\"}");
    refused("weight_map: tensor 'a'");
  }
  index(R"({"a":"gone.safetensors"})");
  refused("gone.safetensors", "not_found");
  index(R"({"a":"m-2.safetensors","b":"m-2.safetensors"})");
  refused("m-2.safetensors does not hold tensor 'a'");
  index(R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"})");
  refused("m-1.safetensors does not hold tensor 'b'");
  index(R"({"a":"m-1.safetensors","a":"m-1.safetensors"})");
  refused("'a' is given twice");
  index("3");
  refused("index.json");
  index("{\"a\":3}");
  refused("index.json");
  folder_.put("model.safetensors.index.json", "{\"metadata\":{}}");
  refused("weight_map: it is missing");
  folder_.put("model.safetensors.index.json", "{\"weight_map\":{},\"weight_map\":{}}");
  refused("weight_map: it is given twice");
  folder_.put("model.safetensors.index.json", "{\"metadata\":" + std::string(50, '[') + std::string(50, ']') + ",\"weight_map\":{}}");
  refused("nesting");
  folder_.put("model.safetensors.index.json", "");
  refused("index.json");
  folder_.put("m-2.safetensors", one("a"));
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  refused("'a': it is given twice");
}

TEST_F(SafetensorsFolder, EmptyFoldersAreNamed) {
  refused("no *.safetensors", "not_found");
  EXPECT_EQ(error_of([&] { Checkpoint::open(folder_ / "nowhere"); }).substr(0, 9), "not_found");
  folder_.put("text", "no model, but long enough");
  EXPECT_NE(error_of([&] { Checkpoint::open(folder_ / "text"); }).find("neither a GGUF nor a safetensors"), std::string::npos);
  folder_.put("x", "y");
  EXPECT_NE(error_of([&] { Checkpoint::open(folder_ / "x"); }).find("neither a GGUF nor a safetensors"), std::string::npos);
  folder_.put("x.gguf", "y");
  EXPECT_NE(error_of([&] { Checkpoint::open(folder_ / "x.gguf"); }).find("too few for a GGUF"), std::string::npos);
}

}  // namespace
}  // namespace carat
