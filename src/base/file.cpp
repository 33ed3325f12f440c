#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace carat {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

// Closes a descriptor on every way out.
struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int f) : fd(f) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// O_NONBLOCK: a pipe under a model's name must not hang us in open().
int open_for_reading(const std::string& name) {
  int fd;
  do fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  if (fd >= 0) return fd;
  const int error = errno;
  if (error == ENOENT || error == ENOTDIR) fail(ErrorCode::not_found, "{}: no such file; check the path", name);
  fail(ErrorCode::io, "{}: cannot be opened ({}); check its permissions", name, reason(error));
}

struct stat stat_regular(int fd, const std::string& name) {
  struct stat st;
  if (::fstat(fd, &st) != 0) fail(ErrorCode::io, "{}: its size cannot be read ({})", name, reason(errno));
  if (S_ISDIR(st.st_mode)) fail(ErrorCode::corrupt, "{}: is a folder, a file is needed", name);
  if (!S_ISREG(st.st_mode)) fail(ErrorCode::corrupt, "{}: is not a regular file (a device, pipe or socket)", name);
  return st;
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->name_ = path.string();
  file->fd_ = open_for_reading(file->name_);
  const struct stat st = stat_regular(file->fd_, file->name_);
  if (st.st_size <= 0) fail(ErrorCode::corrupt, "{}: the file is empty; fetch it again", file->name_);
  const auto size = static_cast<uint64_t>(st.st_size);
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file->fd_, 0);
  if (map == MAP_FAILED) fail(errno == ENOMEM ? ErrorCode::exhausted : ErrorCode::io, "{}: {} bytes cannot be mapped ({})", file->name_, size, reason(errno));
  file->data_ = static_cast<const std::byte*>(map);
  file->size_ = size;
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

void MappedFile::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) fail(ErrorCode::corrupt, "{}: bytes {}+{} lie outside of its {} bytes", name_, offset, out.size(), size_);
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), std::min<size_t>(out.size(), size_t{1} << 30), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail(ErrorCode::io, "{}: reading at byte {} failed ({})", name_, offset, reason(errno));
    }
    if (n == 0) fail(ErrorCode::io, "{}: the file became shorter than the {} bytes it had; restore it and load again", name_, size_);
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
}

void MappedFile::prepare(uint64_t offset, uint64_t size) const {
  if (offset > size_ || size > size_ - offset) fail(ErrorCode::corrupt, "{}: bytes {}+{} lie outside of its {} bytes", name_, offset, size, size_);
#ifdef MADV_POPULATE_READ
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  auto* const at = const_cast<std::byte*>(data_) + begin;
  const uint64_t bytes = offset + size - begin;
  ::madvise(at, bytes, MADV_WILLNEED);  // in large reads, where it is not in memory yet
  while (::madvise(at, bytes, MADV_POPULATE_READ) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EFAULT || errno == EIO)
      fail(ErrorCode::io, "{}: reading at byte {} failed: the file became shorter than the {} bytes it had, or its disk failed; restore it and load again",
           name_, offset, size_);
    return;  // a kernel before 5.14
  }
#endif
}

void MappedFile::drop(uint64_t offset, uint64_t size) const {
  if (offset >= size_) return;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  const uint64_t end = offset + std::min(size, size_ - offset);
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);  // a hint: failing changes nothing
}

std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const std::string name = path.string();
  const Descriptor file(open_for_reading(name));
  const struct stat st = stat_regular(file.fd, name);
  const auto size = static_cast<uint64_t>(std::max<off_t>(st.st_size, 0));
  if (size > max_bytes) fail(ErrorCode::exhausted, "{}: {} bytes, at most {} are read", name, size, max_bytes);
  std::string text(size, '\0');
  size_t have = 0;
  for (;;) {  // some file systems report 0 bytes for a file that has some: read to the real end
    if (have == text.size()) {
      if (text.size() > max_bytes) fail(ErrorCode::exhausted, "{}: more than the {} bytes that are read", name, max_bytes);
      text.resize(static_cast<size_t>(std::min<uint64_t>(max_bytes + 1, text.size() + 4096)));
    }
    const ssize_t n = ::read(file.fd, text.data() + have, std::min<size_t>(text.size() - have, size_t{1} << 30));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail(ErrorCode::io, "{}: reading failed ({})", name, reason(errno));
    }
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  text.resize(have);
  if (have > max_bytes) fail(ErrorCode::exhausted, "{}: more than the {} bytes that are read", name, max_bytes);
  return text;
}

}  // namespace carat
