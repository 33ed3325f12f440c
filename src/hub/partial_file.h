#pragma once
// A download under way: bytes that arrive in any order, and a journal of those that are on disk, so that a program killed at any moment, or a machine that
// loses power, goes on where it was. The order is: write the bytes; fdatasync; only then write the journal that claims them, beside the old one; fsync; rename.
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <future>
#include <span>
#include <string>

#include "hub/range_set.h"

namespace carat::hub {

// The caller holds the blob's lock. One thread; the journal is written by another one that the object waits for.
class PartialFile {
 public:
  // Takes up what is there of BLOB.carat.incomplete and BLOB.carat.journal, or begins. The file's whole size is reserved where the file system can.
  // Fails with exhausted (no space: what this call began is taken away again), io.
  PartialFile(std::filesystem::path blob, uint64_t size);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const RangeSet& done() const { return done_; }
  bool complete() const { return done_.total() == size_; }
  int fd() const { return fd_; }

  // Fails with io, exhausted (the disk is full; what the journal claims stays).
  void write(uint64_t offset, std::span<const std::byte> bytes);
  // Begins to bring the journal up to date if it is not being written and the last time was a second ago. Fails when the one before failed.
  void checkpoint();
  // Brings the journal up to date, and waits for it.
  void flush();
  // Forgets all bytes: they were the wrong ones.
  void restart();
  // All bytes are there and right: flushes them to disk and gives the file its name. The journal goes.
  void finish();
  // Removes both files of a blob, if they are there.
  static void discard(const std::filesystem::path& blob);

 private:
  void open();
  void reserve(bool fresh);
  void save(const RangeSet& claim) const;
  void wait();

  std::filesystem::path blob_, data_, journal_;
  uint64_t size_;
  int fd_ = -1;
  RangeSet done_, claimed_;
  std::future<void> saving_;
  std::chrono::steady_clock::time_point next_save_;
};

}  // namespace carat::hub
