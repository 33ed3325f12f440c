// Folders as Hugging Face writes them against the GGUF that llama.cpp's converter made of them; and what such a folder may have wrong.
#include <gtest/gtest.h>

#include "base/file.h"
#include "formats/temp_folder.h"
#include "quant/quantise.h"
#include "quant/sentencepiece_file.h"
#include "support/golden.h"

namespace carat::quant {
namespace {

std::string value_text(const MetaValue& v) {
  struct Print {
    std::string operator()(const MetaNumbers& n) const { return std::string(reinterpret_cast<const char*>(n.data), n.count); }
    std::string operator()(const MetaStrings& s) const {
      std::string out;
      for (const std::string_view t : s) out += std::string(t) + "\n";
      return out;
    }
    std::string operator()(std::string_view s) const { return std::string(s); }
    std::string operator()(double d) const { return std::to_string(d); }
    std::string operator()(int64_t i) const { return std::to_string(i); }
    std::string operator()(uint64_t i) const { return std::to_string(i); }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
  };
  return fmt::format("{} {} {}", v.gguf_type, v.gguf_elem_type, std::visit(Print{}, v.value));
}

std::map<std::string, std::string> keys_of(const Checkpoint& c) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : c.metadata()) out[key] = value_text(value);
  return out;
}

TEST(Folder, TensorsAndKeysAreThoseOfTheConverter) {
  if (!test::have_golden()) GTEST_SKIP() << "the golden models are not here (CARAT_SHARED)";
  const TempFolder folder;
  for (const char* name : {"tiny-gemma3", "tiny-26b", "tiny-31b", "tiny-e2b"}) {
    const std::string base = std::string("models/") + name;
    std::filesystem::create_directory_symlink(test::golden(base + "/hf"), folder / name);  // its name is read as well
    const Source source = Source::open(folder / name);
    const Recipe& recipe = find_recipe("bf16");
    quantise(source, make_plan(source, recipe, {}, false), recipe, folder / "out.gguf", {});
    const auto ours = Checkpoint::open(folder / "out.gguf"), theirs = Checkpoint::open(test::golden(base + "/gguf/model-bf16.gguf"));
    ASSERT_EQ(ours->tensors().size(), theirs->tensors().size()) << name;
    for (size_t i = 0; i < ours->tensors().size(); ++i) {
      const TensorInfo &a = ours->tensors()[i], &b = theirs->tensors()[i];
      ASSERT_EQ(a.name, b.name) << name;
      EXPECT_EQ(a.dtype, b.dtype) << a.name;
      EXPECT_EQ(a.shape, b.shape) << a.name;
      std::vector<std::byte> x(a.nbytes), y(b.nbytes);
      a.read_rows(0, a.rows(), x.data()), b.read_rows(0, b.rows(), y.data());
      EXPECT_EQ(x, y) << name << " " << a.name;
    }
    EXPECT_EQ(keys_of(*ours), keys_of(*theirs)) << name;
  }
}

// A field of bytes of a protocol buffer message.
void put_field(std::string& out, int number, std::string_view bytes) {
  out += static_cast<char>(number << 3 | 2);
  out += static_cast<char>(bytes.size());
  out += bytes;
}

std::string piece(std::string_view text, float score, int type) {
  std::string message, out;
  put_field(message, 1, text);
  message += static_cast<char>(2 << 3 | 5);
  message.append(reinterpret_cast<const char*>(&score), sizeof score);
  if (type > 0) {
    message += static_cast<char>(3 << 3);
    message += static_cast<char>(type);
  }
  put_field(out, 1, message);
  return out;
}

TEST(SentencePieceFile, PiecesWithScoresAndKinds) {
  const std::string bytes = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("a", -1.5f, 0) + piece("<0x41>", -2, 6) + "\x12\x03xyz" + piece("u", -3, 4);
  const auto pieces = read_sentencepiece(bytes, "file");
  ASSERT_EQ(pieces.size(), 5u);
  EXPECT_EQ(pieces[0].kind, TokenKind::unknown);
  EXPECT_EQ(pieces[1].kind, TokenKind::control);
  EXPECT_EQ(pieces[2].text, "a");
  EXPECT_EQ(pieces[2].score, -1.5f);
  EXPECT_EQ(pieces[2].kind, TokenKind::normal);
  EXPECT_EQ(pieces[3].kind, TokenKind::byte);
  EXPECT_EQ(pieces[4].kind, TokenKind::normal);
}

TEST(SentencePieceFile, DamageIsAnError) {
  const std::string good = piece("<unk>", 0, 2) + piece("abc", -1.5f, 1);
  for (size_t n = 0; n < good.size(); ++n) {
    const std::string e = error_of([&] { read_sentencepiece(std::string_view(good).substr(0, n), "file"); });
    EXPECT_TRUE(e == "no error" || e.starts_with("corrupt: file: ")) << n << " " << e;
  }
  EXPECT_TRUE(error_of([] { read_sentencepiece("", "file"); }).starts_with("corrupt: "));
  EXPECT_TRUE(error_of([] { read_sentencepiece("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "file"); }).starts_with("corrupt: "));
  EXPECT_TRUE(error_of([] { read_sentencepiece(std::string(64, '\xff'), "file"); }).starts_with("corrupt: "));
}

}  // namespace
}  // namespace carat::quant
