#include "base/file.h"
#include "base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("carat_file_" + std::to_string(::getpid()) + "_" + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  static void put(const fs::path& path, std::string_view text) { write_file_atomically(path, std::as_bytes(std::span(text))); }
  size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }

  fs::path folder_;
};

// The code of the Error that f throws; internal, with a failure noted, when it throws none.
template <typename F>
ErrorCode code_of(F f, const std::string& mentions) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(mentions), std::string::npos) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    return e.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::internal;
}

TEST_F(FileTest, MapAndReadSeeTheSameBytes) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += static_cast<char>(i * 31);
  put(folder_ / "a", text);
  const auto file = MappedFile::open(folder_ / "a");
  ASSERT_EQ(file->size(), text.size());
  EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);
  std::string part(777, '\0');
  file->read(54321, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, text.substr(54321, 777));
  file->drop(4097, 50000);
  file->drop(0, UINT64_MAX);
  file->drop(UINT64_MAX, 1);
  EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);
  file->read(text.size(), {});
}

TEST_F(FileTest, ReadingOutsideIsRefused) {
  put(folder_ / "a", "0123456789");
  const auto file = MappedFile::open(folder_ / "a");
  std::byte out[11];
  EXPECT_EQ(code_of([&] { file->read(0, out); }, "/a"), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { file->read(11, {}); }, "/a"), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { file->read(UINT64_MAX, std::span(out, 2)); }, "/a"), ErrorCode::corrupt);
}

TEST_F(FileTest, AFileCutShortLaterIsAnErrorNotASignal) {
  put(folder_ / "a", std::string(100000, 'x'));
  const auto file = MappedFile::open(folder_ / "a");
  fs::resize_file(folder_ / "a", 10);
  std::vector<std::byte> out(1000);
  EXPECT_EQ(code_of([&] { file->read(50000, out); }, "shorter"), ErrorCode::io);
}

TEST_F(FileTest, OddPathsHaveAMessageEach) {
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_ / "missing"); }, "missing"), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_); }, "folder"), ErrorCode::corrupt);
  put(folder_ / "empty", "");
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_ / "empty"); }, "empty"), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_ / "empty" / "below"); }, "below"), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { MappedFile::open(""); }, "no such file"), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_ / std::string(300, 'n')); }, "nnn"), ErrorCode::io);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_ / "pipe"); }, "regular"), ErrorCode::corrupt);  // and does not wait for a writer
  EXPECT_EQ(code_of([&] { read_text_file(folder_ / "pipe", 10); }, "regular"), ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { MappedFile::open("/dev/zero"); }, "/dev/zero"), ErrorCode::corrupt);
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_EQ(code_of([&] { MappedFile::open(folder_ / "loop"); }, "loop"), ErrorCode::io);
}

TEST_F(FileTest, TextFilesAreReadWholeAndBounded) {
  put(folder_ / "t", "hello");
  EXPECT_EQ(read_text_file(folder_ / "t", 5), "hello");
  EXPECT_EQ(code_of([&] { read_text_file(folder_ / "t", 4); }, "5 bytes"), ErrorCode::exhausted);
  put(folder_ / "e", "");
  EXPECT_EQ(read_text_file(folder_ / "e", 0), "");
  EXPECT_EQ(code_of([&] { read_text_file(folder_ / "none", 4); }, "none"), ErrorCode::not_found);
  EXPECT_EQ(code_of([&] { read_text_file(folder_, 4); }, "folder"), ErrorCode::corrupt);
  if (fs::exists("/proc/self/status")) {  // says it has 0 bytes, and has some
    EXPECT_GT(read_text_file("/proc/self/status", 1 << 20).size(), 100u);
    EXPECT_EQ(code_of([&] { read_text_file("/proc/self/status", 10); }, "10"), ErrorCode::exhausted);
  }
}

TEST_F(FileTest, WritingReplacesAsAWhole) {
  put(folder_ / "a", "old");
  fs::permissions(folder_ / "a", fs::perms::owner_read | fs::perms::owner_write);
  put(folder_ / "a", "new text");
  EXPECT_EQ(read_text_file(folder_ / "a", 100), "new text");
  EXPECT_EQ(fs::status(folder_ / "a").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(files(), 1u) << "a temporary file was left";
}

TEST_F(FileTest, FailedWritingLeavesTheOldFileAndNothingElse) {
  put(folder_ / "a", "old");
  EXPECT_EQ(code_of([&] { put(folder_ / "none" / "a", "x"); }, "folder does not exist"), ErrorCode::not_found);
  fs::create_directory(folder_ / "d");
  put(folder_ / "d" / "inside", "x");
  EXPECT_EQ(code_of([&] { put(folder_ / "d", "x"); }, "/d"), ErrorCode::io);  // the rename fails, late
  EXPECT_EQ(files(), 2u) << "a temporary file was left";
  EXPECT_EQ(read_text_file(folder_ / "a", 10), "old");
}

TEST_F(FileTest, ManyWritersOfOneNameLeaveOneWholeFile) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) put(folder_ / "a", std::string(10000, static_cast<char>('a' + t)));
    });
  for (auto& t : threads) t.join();
  const std::string text = read_text_file(folder_ / "a", 1 << 20);
  EXPECT_EQ(text, std::string(10000, text[0]));
  EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace carat
