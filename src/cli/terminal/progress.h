#pragma once
// A line on stderr that says how far something is; nothing unless stderr is a terminal. Gone when it is destroyed.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace carat::cli {

class Progress {
 public:
  explicit Progress(std::string_view what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // One thread at a time. Draws at most ten times a second.
  void show(uint64_t done, uint64_t total);

 private:
  std::string what_;
  bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace carat::cli
