#include "hub/layout.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"
#include "hub/digest.h"
#include "hub/names.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";
constexpr size_t kMaxFiles = 100'000;
constexpr int kMaxDepth = 8;

std::string folder_name(std::string_view repo_id) {
  std::string name(kPrefix);
  for (const char c : repo_id) name.append(c == '/' ? 2 : 1, c == '/' ? '-' : c);
  return name;
}

std::string first_line(const fs::path& file) {
  try {
    std::string text = read_text_file(file, 4096);
    text.erase(std::find_if(text.begin(), text.end(), [](unsigned char c) { return c <= 0x20; }), text.end());
    return text;
  } catch (const Error&) {
    return "";  // not there, or no ref: as if it were not there
  }
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) return;
  ::fsync(fd);  // some file systems refuse it on a folder: nothing to be done then
  ::close(fd);
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorCode::io, "a folder of the store cannot be made, {}: {}, check its permissions or set HF_HOME", folder.string(), error.message());
}

}  // namespace

fs::path Layout::repo(std::string_view repo_id) const { return root / folder_name(repo_id); }
fs::path Layout::lock(std::string_view repo_id, std::string_view etag) const { return root / ".locks" / folder_name(repo_id) / (std::string(etag) + ".lock"); }

std::vector<std::string> cached_repos(const Layout& layout) {
  std::vector<std::string> repos;
  std::error_code error;
  for (fs::directory_iterator it(layout.root, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const size_t at = name.find("--", kPrefix.size());
    if (at == std::string::npos) continue;
    const std::string id = fmt::format("{}/{}", name.substr(kPrefix.size(), at - kPrefix.size()), name.substr(at + 2));
    if (is_repo_id(id)) repos.push_back(id);
  }
  std::sort(repos.begin(), repos.end());
  return repos;
}

std::optional<std::string> read_ref(const Layout& layout, std::string_view repo, std::string_view revision) {
  if (is_commit(revision)) return std::string(revision);
  std::string commit = first_line(layout.refs(repo) / revision);
  if (!is_commit(commit)) return std::nullopt;
  return commit;
}

std::vector<std::string> cached_commits(const Layout& layout, std::string_view repo, std::string_view revision) {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code error;
  const auto wanted = read_ref(layout, repo, revision);
  for (fs::directory_iterator it(layout.snapshots(repo), error), end; !error && it != end; it.increment(error)) {
    const std::string commit = it->path().filename().string();
    std::error_code none;
    if (!is_commit(commit) || !it->is_directory(none)) continue;
    found.emplace_back(commit == wanted ? fs::file_time_type::max() : fs::last_write_time(it->path(), none), commit);
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  std::vector<std::string> commits;
  for (auto& [time, commit] : found) commits.push_back(std::move(commit));
  return commits;
}

std::vector<std::string> refs_to(const Layout& layout, std::string_view repo, std::string_view commit) {
  std::vector<std::string> names;
  const fs::path folder = layout.refs(repo);
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code none;
    if (it.depth() > kMaxDepth) it.disable_recursion_pending();
    if (it->is_regular_file(none) && first_line(it->path()) == commit) names.push_back(it->path().lexically_relative(folder).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void write_ref(const Layout& layout, std::string_view repo, std::string_view revision, std::string_view commit) {
  const fs::path file = layout.refs(repo) / revision;
  if (is_commit(revision) || first_line(file) == commit) return;
  make_folders(file.parent_path());
  write_file_atomically(file, std::as_bytes(std::span(commit)));
}

std::vector<std::string> snapshot_files(const fs::path& snapshot) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end && files.size() < kMaxFiles; it.increment(error)) {
    std::error_code none;
    if (it.depth() >= kMaxDepth) it.disable_recursion_pending();
    if (it->is_regular_file(none)) files.push_back(it->path().lexically_relative(snapshot).generic_string());  // follows links: a broken one is no file
  }
  std::sort(files.begin(), files.end());
  return files;
}

void link_blob(const Layout& layout, std::string_view repo, std::string_view commit, std::string_view path, std::string_view etag) {
  const fs::path link = layout.snapshot(repo, commit) / path;
  make_folders(link.parent_path());
  const fs::path target = layout.blob(repo, etag).lexically_relative(link.parent_path());
  std::error_code error;
  if (fs::is_symlink(link, error) && fs::read_symlink(link, error) == target) return;
  // A link of another name first, then the rename: there is never a moment without the file.
  const fs::path fresh = link.parent_path() / (".carat-link-" + std::string(etag));
  fs::remove(fresh, error);
  fs::create_symlink(target, fresh, error);
  if (!error) fs::rename(fresh, link, error);
  if (error) {
    std::error_code none;
    fs::remove(fresh, none);
    fail(ErrorCode::io, "a file cannot be put in place, {}: {}, check its permissions (the store needs a file system with symbolic links)", link.string(),
         error.message());
  }
  sync_folder(link.parent_path());
}

}  // namespace carat::hub
