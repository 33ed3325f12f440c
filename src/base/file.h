#pragma once
// Files that are read: through a map, by position, or whole. Writing is in output_file.h.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace carat {

// A file opened for reading. The map is read-only and private; its size is the size at opening.
class MappedFile {
 public:
  // Fails with not_found, io, or corrupt (a folder, an empty file).
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  // The whole file. Touch it only where bytes are used in place (panels): what is taken by read() is an error, not a signal, when the file is cut short later.
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Exactly out.size() bytes from offset, by pread. Fails with io if the file has become shorter. Thread-safe.
  void read(uint64_t offset, std::span<std::byte> out) const;
  // Has these bytes of the map read and their pages at hand, so that using them waits for nothing. Fails with io if the file has become shorter. Where the system
  // cannot do this nothing happens: pages come as they are used.
  void prepare(uint64_t offset, uint64_t size) const;
  // Tells the kernel that these pages of the map are not needed now (they stay readable).
  void drop(uint64_t offset, uint64_t size) const;

 private:
  MappedFile() = default;
  std::string name_;
  int fd_ = -1;
  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

// Whole text file, at most max_bytes. Fails with not_found, io, exhausted.
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace carat
