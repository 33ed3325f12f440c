#pragma once
// A lock between processes on a file of its own: the one that huggingface_hub takes on .locks/REPO/ETAG.lock (flock), so that both respect each other.
#include <filesystem>
#include <functional>
#include <optional>

namespace carat::hub {

class FileLock {
 public:
  // Waits until the lock is free. `waiting` is called about five times a second meanwhile; when it returns false the wait ends with cancelled.
  // Fails with io, unsupported (the file system has no locks).
  FileLock(const std::filesystem::path& file, const std::function<bool()>& waiting);
  // nullopt: somebody else holds it.
  static std::optional<FileLock> try_take(const std::filesystem::path& file);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  FileLock() = default;
  bool take(const std::filesystem::path& file);
  int fd_ = -1;
};

}  // namespace carat::hub
