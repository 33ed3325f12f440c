#pragma once
// The beginning of a GGUF file, in memory as far as the parser has come. Nothing is touched through the map, so a file
// that is cut short while it is read gives an error, never a signal; and memory grows with what was really read.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <type_traits>

#include "base/file.h"
#include "formats/gguf.h"

namespace carat {

class GgufHeader {
 public:
  explicit GgufHeader(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}

  const std::string& name() const { return file_->name(); }
  uint64_t pos() const { return pos_; }
  void seek(uint64_t pos) { pos_ = pos; }
  // Bytes of the file behind the position.
  uint64_t remaining() const { return file_->size() - pos_; }

  // The next n bytes, moving on. The pointer holds until the next read, and for good once everything needed was read and fixed.
  // Fails with corrupt when the file ends before; `what` names the field.
  const std::byte* take(uint64_t n, std::string_view what) {
    if (n > remaining()) cut_short(n, what);
    if (pos_ + n > loaded_) load(pos_ + n);
    const std::byte* at = buffer_->data + pos_;
    pos_ += n;
    return at;
  }
  template <typename T>
  T number(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T), what), sizeof(T));
    return value;
  }
  // A string of at most `longest` bytes.
  std::string_view string(std::string_view what, uint64_t longest = kMaxGgufHeader) {
    const auto length = number<uint64_t>(what);
    if (length > longest || length > remaining()) bad_length(length, longest, what);
    return {reinterpret_cast<const char*>(take(length, what)), static_cast<size_t>(length)};
  }

  // Gives back what lies behind the position; no byte moves from here on as long as the result lives.
  std::shared_ptr<const void> fix();

 private:
  struct Buffer {
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data); }
    std::byte* data = nullptr;
  };
  void load(uint64_t end);
  void resize(uint64_t size);
  [[noreturn]] void cut_short(uint64_t n, std::string_view what) const;
  [[noreturn]] void bad_length(uint64_t length, uint64_t longest, std::string_view what) const;

  std::shared_ptr<const MappedFile> file_;
  std::shared_ptr<Buffer> buffer_ = std::make_shared<Buffer>();
  bool fixed_ = false;
  uint64_t loaded_ = 0;
  uint64_t pos_ = 0;
};

}  // namespace carat
