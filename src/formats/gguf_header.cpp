#include "formats/gguf_header.h"

#include <algorithm>

#include "base/error.h"

namespace carat {

// realloc, not a vector: large blocks grow by moving pages instead of bytes, and untouched memory is never written.
void GgufHeader::resize(uint64_t size) {
  auto* data = static_cast<std::byte*>(std::realloc(buffer_->data, size));
  if (data == nullptr) fail(ErrorCode::exhausted, "{}: no memory for {} bytes of header", name(), size);
  buffer_->data = data;
}

void GgufHeader::load(uint64_t end) {
  check(!fixed_, "the second walk over a GGUF header went further than the first");
  if (end > kMaxGgufHeader) fail(ErrorCode::unsupported, "{}: its header is longer than {} bytes; it is damaged or no model", name(), kMaxGgufHeader);
  // A little ahead of what is asked for, so that the number of reads grows with the logarithm of the header.
  const uint64_t ahead = std::max<uint64_t>(uint64_t{1} << 16, loaded_ / 8);
  const uint64_t target = std::min(std::max(end, loaded_ + ahead), file_->size());
  resize(target);
  file_->read(loaded_, {buffer_->data + loaded_, static_cast<size_t>(target - loaded_)});
  loaded_ = target;
}

std::shared_ptr<const void> GgufHeader::fix() {
  if (pos_ > 0) resize(pos_);
  loaded_ = pos_;
  fixed_ = true;
  return buffer_;
}

void GgufHeader::cut_short(uint64_t n, std::string_view what) const {
  fail(ErrorCode::corrupt, "{}: {}: {} bytes are needed at byte {} and the file has {}; it is cut short or damaged, fetch it again", name(), what, n, pos_,
       file_->size());
}

void GgufHeader::bad_length(uint64_t length, uint64_t longest, std::string_view what) const {
  if (length > longest)
    fail(ErrorCode::corrupt, "{}: {}: a length of {} at byte {}, at most {} is allowed; the file is damaged", name(), what, length, pos_ - 8, longest);
  fail(ErrorCode::corrupt, "{}: {}: a length of {} at byte {} reaches beyond the file's end; it is cut short or damaged", name(), what, length, pos_ - 8);
}

}  // namespace carat
