#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "hub/layout.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kSaveEvery{1};

fs::path beside(const fs::path& blob, std::string_view ending) { return blob.string() + std::string(ending); }

bool is_full(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

[[noreturn]] void fail_write(const fs::path& file, int error) {
  if (is_full(error)) {
    fail(ErrorCode::exhausted, "there is no space for the download, {}: {}, free some or set HF_HOME to another disk", file.string(), std::strerror(error));
  }
  fail(ErrorCode::io, "the download cannot be written, {}: {}, check the disk and its permissions", file.string(), std::strerror(error));
}

void write_at(int fd, uint64_t offset, std::span<const std::byte> bytes, const fs::path& file) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_write(file, n == 0 ? ENOSPC : errno);
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

PartialFile::PartialFile(fs::path blob, uint64_t size)
    : blob_(std::move(blob)), data_(beside(blob_, kIncomplete)), journal_(beside(blob_, kJournal)), size_(size), next_save_(std::chrono::steady_clock::now()) {
  try {
    open();
  } catch (...) {
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

PartialFile::~PartialFile() {
  if (saving_.valid()) saving_.wait();
  if (fd_ >= 0) ::close(fd_);
}

void PartialFile::open() {
  fd_ = ::open(data_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) fail_write(data_, errno);
  struct stat status{};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) fail(ErrorCode::io, "this is no file, {}, take it away and try again", data_.string());
  const bool whole_size = static_cast<uint64_t>(status.st_size) == size_;
  std::error_code error;
  if (whole_size && fs::is_regular_file(journal_, error)) done_ = read_journal(read_text_file(journal_, size_t{4} << 20), size_);
  claimed_ = done_;
  reserve(done_.ranges().empty());
}

// The size is given first, so that bytes may be written anywhere; then the blocks, so that a full disk shows before an hour of downloading.
void PartialFile::reserve(bool fresh) {
  int error = 0;
  if (fresh) {
    std::error_code none;
    fs::remove(journal_, none);
    if (::ftruncate(fd_, 0) != 0) error = errno;
  }
  if (error == 0 && ::ftruncate(fd_, static_cast<off_t>(size_)) != 0) error = errno;
  if (error == 0 && size_ > 0 && ::fallocate(fd_, 0, 0, static_cast<off_t>(size_)) != 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
    error = errno;
  if (error == 0) return;
  if (fresh) discard(blob_);
  fail_write(data_, error);
}

void PartialFile::write(uint64_t offset, std::span<const std::byte> bytes) {
  check(offset <= size_ && bytes.size() <= size_ - offset, "a download writes within its file");
  write_at(fd_, offset, bytes, data_);
  done_.add({offset, offset + bytes.size()});
}

void PartialFile::save(const RangeSet& claim) const {
  if (::fdatasync(fd_) != 0) fail_write(data_, errno);
  const fs::path fresh = journal_.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) fail_write(fresh, errno);
  int error = 0;
  try {
    const std::string text = journal_text(claim, size_);
    write_at(fd, 0, std::as_bytes(std::span(text)), fresh);
    if (::fsync(fd) != 0) error = errno;
  } catch (...) {
    ::close(fd);
    throw;
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(fresh.c_str(), journal_.c_str()) != 0) error = errno;
  if (error != 0) fail_write(journal_, error);
}

void PartialFile::wait() {
  if (saving_.valid()) saving_.get();
}

void PartialFile::checkpoint() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_save_ || done_ == claimed_) return;
  if (saving_.valid() && saving_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
  wait();
  next_save_ = now + kSaveEvery;
  claimed_ = done_;
  // The bytes were handed to the system before this copy was made: the fdatasync that comes now covers them all.
  saving_ = std::async(std::launch::async, [this, claim = done_] { save(claim); });
}

void PartialFile::flush() {
  wait();
  if (done_ == claimed_) return;
  save(done_);
  claimed_ = done_;
}

void PartialFile::restart() {
  if (saving_.valid()) saving_.wait();
  saving_ = {};
  done_ = claimed_ = {};
  reserve(true);
}

void PartialFile::finish() {
  wait();
  check(complete(), "a download that is finished has all its bytes");
  if (::fsync(fd_) != 0) fail_write(data_, errno);
  if (::rename(data_.c_str(), blob_.c_str()) != 0) fail_write(blob_, errno);
  sync_folder(blob_.parent_path());
  std::error_code error;
  fs::remove(journal_, error);
}

void PartialFile::discard(const fs::path& blob) {
  std::error_code error;
  for (const fs::path& file : {beside(blob, kIncomplete), beside(blob, kJournal), fs::path(beside(blob, kJournal).string() + ".new")}) fs::remove(file, error);
}

}  // namespace carat::hub
