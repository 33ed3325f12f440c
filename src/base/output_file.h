#pragma once
// A file written in order. Its name holds the whole of it or what was there before, whatever ends the program meanwhile.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace carat {

// Bytes that a file in this folder may still take; empty when the system does not say.
std::optional<uint64_t> free_space(const std::filesystem::path& folder);

class OutputFile {
 public:
  // Creates a file without a name in path's folder; where the file system has no such files, one beside `path` that the destructor removes. only_owner: nobody
  // else may read it (mode 0600); else it keeps the mode of the file it replaces, a new one what the umask leaves. Fails with not_found or io.
  explicit OutputFile(const std::filesystem::path& path, bool only_owner = false);
  ~OutputFile();  // nothing is left unless commit() was called
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Appends. Fails with io: a full disk, for one.
  void write(std::span<const std::byte> bytes);
  uint64_t size() const { return size_; }
  // Flushes to disk and gives it the name; what had the name is replaced. Once.
  void commit();

 private:
  std::filesystem::path path_;
  bool only_owner_;
  std::string temporary_;  // empty: the file has no name yet
  int fd_ = -1;
  uint64_t size_ = 0;
};

// The same in one go: on failure what had the name is untouched.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes, bool only_owner = false);

// Numbers that are needed again later and are too many for memory: a file without a name, gone when this is.
class ScratchFile {
 public:
  // In this folder. Fails with io.
  explicit ScratchFile(const std::filesystem::path& folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  void append(std::span<const std::byte> bytes);
  // Exactly out.size() bytes from offset, which were appended before.
  void read(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string name_;
  int fd_ = -1;
};

}  // namespace carat
