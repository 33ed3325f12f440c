#include "cli/suggest.h"

#include <algorithm>
#include <numeric>

namespace carat::cli {
namespace {

constexpr size_t kLongest = 64;  // a longer word is no slip of the finger

// Letters to insert, remove or replace.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() < 2 || word.size() > kLongest) return "";
  const auto begun = [&](const std::string& candidate) { return candidate.starts_with(word); };
  if (std::count_if(candidates.begin(), candidates.end(), begun) == 1) return *std::find_if(candidates.begin(), candidates.end(), begun);
  size_t least = word.size() <= 4 ? 2 : 3;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const size_t d = distance(word, candidate);
    if (d < least) {
      least = d;
      nearest = candidate;
    } else if (d == least) {
      nearest.clear();
    }
  }
  return nearest;
}

}  // namespace carat::cli
