// Matrices in panels, read as rows and in place; and what is refused.
#include "formats/panel_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "formats/gguf_write.h"
#include "formats/temp_folder.h"
#include "tensor/pack.h"

namespace carat {
namespace {

std::vector<std::byte> random_rows(DType t, int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 rng(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(rows * row_bytes(t, cols)));
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
  return bytes;
}

// A writer whose one matrix "m" is in panels; `layout`: with the keys that say so.
GgufWriter one_matrix(bool layout = true) {
  GgufWriter w(kGgufPanelAlignment);
  if (layout) w.name_layout();
  w.add_panels("m", DType::q8_0, {20, 64}, random_rows(DType::q8_0, 20, 64, 1));
  return w;
}

std::string text_of(const GgufWriter& w) {
  const std::vector<std::byte> bytes = w.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(PanelRows, AreReadInTheOrderOfBlocks) {
  const TempFolder folder;
  for (const DType t : {DType::q4_k, DType::q5_0, DType::q6_k, DType::bf16, DType::f32}) {
    const int64_t rows = 3 * 21, cols = 512, bytes = row_bytes(t, cols);
    const std::vector<std::byte> data = random_rows(t, rows, cols, 2);
    GgufWriter w(kGgufPanelAlignment);
    w.name_layout();
    w.add_tensor("plain", {3}, std::vector<float>{1, 2, 3});
    w.add_panels("stack", t, {3, 21, cols}, data);
    w.write(folder / "m.gguf");
    const auto c = Checkpoint::open(folder / "m.gguf");
    EXPECT_EQ(c->at("plain").to_f32(), (std::vector<float>{1, 2, 3}));
    EXPECT_FALSE(c->at("plain").panels);
    EXPECT_EQ(c->at("plain").panels_of_rows(0, 1), nullptr);
    const TensorInfo& m = c->at("stack");
    EXPECT_TRUE(m.panels);
    EXPECT_EQ(m.shape, (std::vector<int64_t>{3, 21, cols}));
    EXPECT_EQ(m.nbytes, static_cast<uint64_t>(3 * 2 * panel_bytes(t, cols)));
    for (int64_t row0 = 0; row0 < rows; row0 += 5)
      for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{17}, rows - row0}) {
        if (row0 + n > rows) continue;
        std::vector<std::byte> got(static_cast<size_t>(n * bytes));
        m.read_rows(row0, n, got.data());
        ASSERT_TRUE(std::equal(got.begin(), got.end(), data.begin() + row0 * bytes)) << info(t).name << " " << row0 << " " << n;
      }
    std::vector<std::byte> part(40);
    m.read_part(22, 8, part);
    EXPECT_EQ(std::memcmp(part.data(), data.data() + 22 * bytes + 8, part.size()), 0);
  }
}

TEST(PanelRows, LieInTheMapWhereAMatrixOrAPanelBegins) {
  const TempFolder folder;
  const int64_t cols = 64, panel = panel_bytes(DType::q8_0, cols);
  const std::vector<std::byte> data = random_rows(DType::q8_0, 2 * 40, cols, 3);
  GgufWriter w(kGgufPanelAlignment);
  w.name_layout();
  w.add_tensor("odd", {5}, std::vector<float>(5));
  w.add_panels("m", DType::q8_0, {2, 40, cols}, data);
  w.write(folder / "m.gguf");
  std::shared_ptr<const std::byte> second;
  {
    const auto c = Checkpoint::open(folder / "m.gguf");
    const TensorInfo& m = c->at("m");
    const auto first = m.panels_of_rows(0, 40);
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first.get()) % 64, 0u);
    EXPECT_EQ(m.panels_of_rows(16, 3).get(), first.get() + panel);
    EXPECT_EQ(m.panels_of_rows(32, 8).get(), first.get() + 2 * panel);
    second = m.panels_of_rows(40, 40);
    EXPECT_EQ(second.get(), first.get() + 3 * panel);
    for (const auto& [row0, n] : {std::pair<int64_t, int64_t>{8, 8}, {32, 9}, {0, 80}, {48, 8}, {0, 0}, {80, 1}})
      EXPECT_EQ(m.panels_of_rows(row0, n), nullptr) << row0 << " " << n;
  }
  // The map outlives the checkpoint as long as a panel is held.
  std::vector<std::byte> row(static_cast<size_t>(row_bytes(DType::q8_0, cols)));
  unpack_blocks(DType::q8_0, second.get(), 1, cols, row.data());
  EXPECT_EQ(std::memcmp(row.data(), data.data() + 41 * row_bytes(DType::q8_0, cols), row.size()), 0);
}

TEST(PanelRows, OfAnotherLayoutAreRefused) {
  const TempFolder folder;
  const auto refused = [&](const std::string& bytes) { return error_of([&] { Checkpoint::open(folder.put("m.gguf", bytes)); }); };
  EXPECT_EQ(refused(text_of(one_matrix())), "no error");
  EXPECT_NE(refused(text_of(one_matrix(false))).find("unsupported"), std::string::npos);

  const std::string good = text_of(one_matrix());
  std::string name = good;
  name.replace(name.find("panels16"), 8, "panels32");
  EXPECT_NE(refused(name).find("'panels32', version 1"), std::string::npos) << refused(name);
  std::string version = good;
  version[version.find("carat.layout.version") + 20 + 4] = 2;
  EXPECT_NE(refused(version).find("'panels16', version 2"), std::string::npos) << refused(version);

  // The layout of no tensor at all may be a newer one that this program does not know.
  GgufWriter empty;
  empty.add(kGgufLayoutKey, "rows");
  empty.add_tensor("x", {2}, std::vector<float>(2));
  EXPECT_NE(refused(text_of(empty)).find("unsupported"), std::string::npos);
}

TEST(PanelRows, ThatDoNotFitAreRefused) {
  const TempFolder folder;
  const std::string good = text_of(one_matrix());
  const auto refused = [&](const std::string& bytes) { return error_of([&] { Checkpoint::open(folder.put("m.gguf", bytes)); }); };
  // The record of "m": name, rank, shape (cols, rows), type, offset.
  const size_t rank = good.find(std::string("\1\0\0\0\0\0\0\0m", 9)) + 9, type = rank + 4 + 16;
  const auto with = [&](size_t at, auto value) {
    std::string bytes = good;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return bytes;
  };
  EXPECT_NE(refused(good.substr(0, good.size() - 64)).find("cut short"), std::string::npos);
  EXPECT_NE(refused(with(rank + 12, int64_t{33})).find("reach beyond"), std::string::npos);
  EXPECT_NE(refused(with(rank + 12, int64_t{1} << 57)).find("corrupt"), std::string::npos);
  EXPECT_NE(refused(with(rank + 4, int64_t{1} << 57)).find("corrupt"), std::string::npos);
  EXPECT_NE(refused(with(type, kGgufPanelTypes + 26)).find("unsupported"), std::string::npos);   // I32 has no panels
  EXPECT_NE(refused(with(type, kGgufPanelTypes + 999)).find("unsupported"), std::string::npos);  // nor has what does not exist
  EXPECT_NE(refused(with(type, -1)).find("unsupported"), std::string::npos);

  // Panels at a place where they cannot be used: the file's own alignment allows it.
  std::string loose = good;
  loose[loose.find("general.alignment") + 17 + 4] = 32;
  loose.insert(loose.size() - good.size() % 64, std::string(64, '\0'));
  std::memset(loose.data() + type + 4, 32, 1);
  EXPECT_NE(refused(loose).find("no multiple of 64"), std::string::npos) << refused(loose);
}

}  // namespace
}  // namespace carat
