#pragma once
// What was typed, across runs: a file with a line an entry (line breaks as \n, backslashes as \\), readable by its owner only, oldest first.
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace carat::cli {

class HistoryFile {
 public:
  static constexpr size_t kMaxEntries = 1000;
  static constexpr size_t kMaxEntryBytes = size_t{64} << 10;  // longer ones are not kept
  static constexpr size_t kMaxFileBytes = size_t{8} << 20;

  // An empty path keeps nothing on disk. What cannot be read (no file, no UTF-8, too long) counts as empty; nothing fails.
  explicit HistoryFile(std::filesystem::path path);

  // Puts an entry at the end, takes an earlier equal one away, and writes the file anew, with what other runs have added in between. Entries that are empty,
  // begin with a blank or are too long are left out. False: it could not be written (it stays in entries() all the same).
  bool add(std::string_view entry);
  const std::vector<std::string>& entries() const { return entries_; }

 private:
  std::vector<std::string> read() const;
  void append(std::string entry);

  std::filesystem::path path_;
  std::vector<std::string> entries_;
};

}  // namespace carat::cli
