#include "hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"

namespace carat::hub {

FileLock::FileLock(const std::filesystem::path& file, const std::function<bool()>& waiting) {
  while (!take(file)) {
    if (!waiting()) fail(ErrorCode::cancelled, "interrupted, waiting for {}, run the same command again to go on", file.string());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

std::optional<FileLock> FileLock::try_take(const std::filesystem::path& file) {
  FileLock lock;
  if (!lock.take(file)) return std::nullopt;
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

// The file stays: to unlink it would let two hold "the" lock, on two files of the same name.
FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool FileLock::take(const std::filesystem::path& file) {
  if (fd_ < 0) {
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0664);
    if (fd_ < 0) fail(ErrorCode::io, "a lock of the store cannot be opened, {}: {}, check its permissions or set HF_HOME", file.string(), std::strerror(errno));
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK || errno == EACCES || errno == EINTR) return false;
  fail(ErrorCode::unsupported, "the file system of the store has no locks, {}: {}, set HF_HOME to another one", file.string(), std::strerror(errno));
}

}  // namespace carat::hub
