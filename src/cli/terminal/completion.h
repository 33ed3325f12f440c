#pragma once
// What the Tab key offers.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace carat::cli {

struct Completion {
  size_t start = 0;                     // where in the text the part begins that a candidate would replace
  std::vector<std::string> candidates;  // whole replacements, sorted
};

// Given the text before the cursor.
using Completer = std::function<Completion(std::string_view before_cursor)>;

// Names of files that begin as `typed` does, folders with a slash; "~/" is the home folder. Hidden ones when asked for by their dot. At most kMaxCandidates.
inline constexpr size_t kMaxCandidates = 200;
std::vector<std::string> file_names(const std::string& typed);

// The longest beginning that all candidates share, of whole characters.
std::string common_beginning(const std::vector<std::string>& candidates);
// Candidates in columns for a terminal of that width, each line ended; only what comes after the last slash is shown, made terminal_safe.
std::string candidate_table(const std::vector<std::string>& candidates, size_t columns);

}  // namespace carat::cli
