#pragma once
// A folder of its own for one test, and the error a call gives.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace carat {

class TempFolder {
 public:
  TempFolder() {
    path_ = std::filesystem::path(testing::TempDir()) /
            ("carat_formats_" + std::to_string(::getpid()) + "_" + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path put(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;  // not through write_file_atomically: its fsync takes milliseconds
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// "<code>: <message>" of the Error that f throws, "no error" when it throws none. Messages are one line.
template <typename F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(std::string_view(e.what()).find('\n'), std::string_view::npos) << e.what();
    return std::string(to_string(e.code())) + ": " + e.what();
  }
  return "no error";
}

}  // namespace carat
