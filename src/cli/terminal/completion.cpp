#include "cli/terminal/completion.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/utf8.h"
#include "cli/console.h"
#include "cli/terminal/display_width.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxEntriesLooked = 20000;

// "a/b/" -> "b/": what a list of candidates shows. "/bye" stays.
std::string last_part(const std::string& name) {
  const size_t end = name.ends_with('/') && name.size() > 1 ? name.size() - 1 : name.size();
  const size_t slash = name.rfind('/', end - 1);
  std::string part = slash == std::string::npos || slash == 0 ? name : name.substr(slash + 1);
  part = terminal_safe(part);
  while (part.ends_with(' ')) part.pop_back();
  std::replace_if(part.begin(), part.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return part;
}

}  // namespace

std::vector<std::string> file_names(const std::string& typed) {
  const size_t slash = typed.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : typed.substr(0, slash + 1);
  const std::string beginning = slash == std::string::npos ? typed : typed.substr(slash + 1);
  std::string place = folder.empty() ? "." : folder;
  if (const char* home = std::getenv("HOME"); home != nullptr && place.starts_with("~/")) place.replace(0, 1, home);
  std::vector<std::string> names;
  std::error_code error;
  size_t looked = 0;
  for (fs::directory_iterator it(place, fs::directory_options::skip_permission_denied, error), end; !error && it != end; it.increment(error)) {
    if (++looked > kMaxEntriesLooked) break;
    const std::string name = it->path().filename().string();
    if (!name.starts_with(beginning) || (name.starts_with('.') && !beginning.starts_with('.')) || !utf8_valid(name)) continue;
    std::error_code unknown;
    names.push_back(folder + name + (it->is_directory(unknown) ? "/" : ""));
  }
  std::sort(names.begin(), names.end());
  if (names.size() > kMaxCandidates) names.resize(kMaxCandidates);
  return names;
}

std::string common_beginning(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  std::string_view common = candidates.front();
  for (const std::string& other : candidates) {
    const auto [a, b] = std::mismatch(common.begin(), common.end(), other.begin(), other.end());
    common = common.substr(0, static_cast<size_t>(a - common.begin()));
  }
  const size_t size = common.size();
  std::string whole(common);
  // Cut back to a character's border.
  while (!whole.empty() && size < candidates.front().size() && !utf8_valid(whole)) whole.pop_back();
  return whole;
}

std::string candidate_table(const std::vector<std::string>& candidates, size_t columns) {
  std::vector<std::string> parts;
  size_t widest = 1;
  for (const std::string& candidate : candidates) {
    parts.push_back(last_part(candidate));
    widest = std::max(widest, display_width(parts.back()));
  }
  const size_t cell = widest + 2;
  const size_t across = std::max<size_t>(1, columns / cell);
  std::string table;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size() || (i + 1) % across == 0;
    table += fit_front(parts[i], columns);
    table += last ? "\n" : std::string(cell - display_width(parts[i]), ' ');
  }
  return table;
}

}  // namespace carat::cli
