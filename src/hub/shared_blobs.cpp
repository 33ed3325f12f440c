#include "hub/shared_blobs.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/output_file.h"
#include "hub/digest.h"
#include "hub/file_lock.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

fs::path with_ending(const fs::path& file, const char* ending) { return file.string() + ending; }

bool is_store(const fs::path& folder) {
  try {
    return read_text_file(folder / ".huggingface-shared-blobs", 64) == "1\n";
  } catch (const Error&) {
    return false;
  }
}

// The links of the list that are really there. nullopt: no list that could be trusted.
std::optional<std::vector<fs::path>> references(const fs::path& cache, const fs::path& shared) {
  std::string text;
  try {
    text = read_text_file(with_ending(shared, ".refs"), size_t{16} << 20);
  } catch (const Error&) {
    return std::nullopt;
  }
  std::vector<fs::path> found;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const fs::path link = fs::path(text.substr(begin, end - begin)).lexically_normal();
    begin = end + 1;
    if (link.empty() || link.is_absolute() || *link.begin() == "..") continue;
    if (shared_target(cache, cache / link) == shared && std::find(found.begin(), found.end(), link) == found.end()) found.push_back(link);
  }
  return found;
}

}  // namespace

std::optional<fs::path> shared_target(const fs::path& cache, const fs::path& blob) {
  std::error_code error;
  if (!fs::is_symlink(blob, error)) return std::nullopt;
  const fs::path link = fs::read_symlink(blob, error);
  if (error) return std::nullopt;
  const fs::path target = (blob.parent_path() / link).lexically_normal();
  const std::string hash = target.filename().string();
  const bool named = hash.size() == 64 && is_etag(hash);
  if (!named || target != (cache / "blobs" / hash.substr(0, 2) / hash).lexically_normal() || !is_store(cache / "blobs")) return std::nullopt;
  return target;
}

uint64_t sweep_shared(const fs::path& cache, const fs::path& shared) {
  const FileLock lock(with_ending(shared, ".lock"), [] { return true; });
  const auto links = references(cache, shared);
  if (!links) return 0;
  const fs::path list = with_ending(shared, ".refs");
  if (!links->empty()) {
    std::string text;
    for (const fs::path& link : *links) text += link.generic_string() + "\n";
    write_file_atomically(list, std::as_bytes(std::span(text)));
    return 0;
  }
  std::error_code error;
  const bool is_file = fs::is_regular_file(fs::symlink_status(shared, error));
  const uint64_t bytes = is_file ? fs::file_size(shared, error) : 0;
  if (!is_file || !fs::remove(shared, error)) return 0;
  fs::remove(list, error);
  return bytes;
}

uint64_t shared_bytes_freed(const fs::path& cache, const fs::path& shared, const fs::path& without) {
  const auto links = references(cache, shared);
  if (!links ||
      std::any_of(links->begin(), links->end(), [&](const fs::path& link) { return (cache / link).lexically_normal() != without.lexically_normal(); }))
    return 0;
  std::error_code error;
  const uint64_t bytes = fs::file_size(shared, error);
  return error ? 0 : bytes;
}

}  // namespace carat::hub
