// A name has the whole of a file or what was there before.
#include "base/output_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/error.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("carat_output_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string text_of(const fs::path& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }
  static void write(OutputFile& file, std::string_view text) { file.write(std::as_bytes(std::span(text))); }
  size_t entries() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }

  fs::path folder_;
};

TEST_F(OutputFileTest, AppearsWhenItIsCommitted) {
  OutputFile file(folder_ / "f");
  write(file, "one ");
  write(file, "two");
  EXPECT_EQ(file.size(), 7u);
  EXPECT_FALSE(fs::exists(folder_ / "f"));
  file.commit();
  EXPECT_EQ(text_of(folder_ / "f"), "one two");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFileTest, ReplacesAndKeepsTheMode) {
  std::ofstream(folder_ / "f") << "old";
  ::chmod((folder_ / "f").c_str(), 0640);
  {
    OutputFile file(folder_ / "f");
    write(file, "abandoned");
  }
  EXPECT_EQ(text_of(folder_ / "f"), "old");
  OutputFile file(folder_ / "f");
  write(file, "new");
  EXPECT_EQ(text_of(folder_ / "f"), "old");
  file.commit();
  EXPECT_EQ(text_of(folder_ / "f"), "new");
  struct stat st;
  ASSERT_EQ(::stat((folder_ / "f").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640u);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFileTest, WhatCannotBePutInPlaceLeavesNothing) {
  fs::create_directories(folder_ / "taken/inside");
  OutputFile file(folder_ / "taken");
  write(file, "x");
  EXPECT_THROW(file.commit(), Error);
  EXPECT_THROW(OutputFile(folder_ / "no/such/f"), Error);
  const size_t before = entries();
  { OutputFile other(folder_ / "other"); }
  EXPECT_EQ(entries(), before);
}

TEST_F(OutputFileTest, ScratchGivesBackWhatWasAppended) {
  ScratchFile scratch(folder_);
  const std::string text = "0123456789";
  scratch.append(std::as_bytes(std::span(text)));
  scratch.append(std::as_bytes(std::span(text)));
  std::string out(4, ' ');
  scratch.read(8, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, "8901");
  EXPECT_THROW(scratch.read(18, std::as_writable_bytes(std::span(out))), Error);
  EXPECT_EQ(entries(), 0u) << "it has no name";
  EXPECT_GT(free_space(folder_).value_or(1), 0u);
}

}  // namespace
}  // namespace carat
