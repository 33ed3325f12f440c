#include "base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace carat {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

std::filesystem::path folder_of(const std::filesystem::path& path) { return path.has_parent_path() ? path.parent_path() : std::filesystem::path("."); }

std::string temporary_beside(const std::filesystem::path& path) {
  static std::atomic<uint64_t> counter{0};
  return fmt::format("{}.tmp-{}-{}", path.string(), ::getpid(), counter++);
}

// -1: this file system has no files without a name.
int open_nameless([[maybe_unused]] const std::filesystem::path& folder, [[maybe_unused]] int access, [[maybe_unused]] mode_t mode) {
#ifdef O_TMPFILE
  return ::open(folder.c_str(), O_TMPFILE | access | O_CLOEXEC, mode);
#else
  errno = EOPNOTSUPP;
  return -1;
#endif
}

int create(const std::string& name, int access, mode_t mode) { return ::open(name.c_str(), O_CREAT | O_EXCL | access | O_CLOEXEC, mode); }

void write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail(ErrorCode::io, "{}: writing failed ({}); free some space or check the disk", name, reason(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

}  // namespace

std::optional<uint64_t> free_space(const std::filesystem::path& folder) {
  struct statvfs st;
  if (::statvfs(folder.empty() ? "." : folder.c_str(), &st) != 0 || st.f_blocks == 0) return std::nullopt;
  return uint64_t{st.f_bavail} * uint64_t{st.f_frsize};
}

OutputFile::OutputFile(const std::filesystem::path& path, bool only_owner) : path_(path), only_owner_(only_owner) {
  const mode_t mode = only_owner ? 0600 : 0666;
  fd_ = open_nameless(folder_of(path), O_WRONLY, mode);
  if (fd_ >= 0) return;
  std::string name = temporary_beside(path);
  fd_ = create(name, O_WRONLY, mode);
  if (fd_ < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) fail(ErrorCode::not_found, "{}: its folder does not exist", path.string());
    fail(ErrorCode::io, "{}: cannot be created ({}); check the permissions of its folder", path.string(), reason(error));
  }
  temporary_ = std::move(name);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  write_all(fd_, bytes, path_.string());
  size_ += bytes.size();
}

void OutputFile::commit() {
  check(fd_ >= 0, "an output file is committed once");
  struct stat old;
  if (!only_owner_ && ::stat(path_.c_str(), &old) == 0 && S_ISREG(old.st_mode)) static_cast<void>(::fchmod(fd_, old.st_mode & 07777));
  if (::fsync(fd_) != 0) fail(ErrorCode::io, "{}: cannot be flushed to disk ({})", path_.string(), reason(errno));
  if (temporary_.empty()) {
    // A name that is taken cannot be linked over: through a name beside it, and from there by rename.
    const std::string self = fmt::format("/proc/self/fd/{}", fd_);
    std::string name = temporary_beside(path_);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      fail(ErrorCode::io, "{}: cannot be put in place ({})", path_.string(), reason(errno));
    temporary_ = std::move(name);
  }
  if (::close(std::exchange(fd_, -1)) != 0) fail(ErrorCode::io, "{}: cannot be closed ({})", path_.string(), reason(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(ErrorCode::io, "{}: cannot be put in place ({})", path_.string(), reason(errno));
  temporary_.clear();
  // A rename is durable only when its folder is on disk too. Some file systems refuse fsync on a folder: nothing to be done then.
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes, bool only_owner) {
  OutputFile file(path, only_owner);
  file.write(bytes);
  file.commit();
}

ScratchFile::ScratchFile(const std::filesystem::path& folder) : name_((folder.empty() ? std::filesystem::path(".") : folder).string()) {
  fd_ = open_nameless(name_, O_RDWR, 0600);
  if (fd_ >= 0) return;
  const std::string name = temporary_beside(std::filesystem::path(name_) / "carat-scratch");
  fd_ = create(name, O_RDWR, 0600);
  if (fd_ < 0) fail(ErrorCode::io, "{}: no file can be created in this folder ({}); check its permissions", name_, reason(errno));
  ::unlink(name.c_str());
}

ScratchFile::~ScratchFile() { ::close(fd_); }

void ScratchFile::append(std::span<const std::byte> bytes) { write_all(fd_, bytes, name_ + ": a temporary file"); }

void ScratchFile::read(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), std::min<size_t>(out.size(), size_t{1} << 30), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(ErrorCode::io, "{}: a temporary file cannot be read at byte {} ({})", name_, offset, n < 0 ? reason(errno) : "it ends");
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
}

}  // namespace carat
