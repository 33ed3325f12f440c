#pragma once
// The digests by which the hub names contents: SHA-256 for large files, git's blob SHA-1 for small ones.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace carat::hub {

// 64 lower-case hex digits (SHA-256) or 40 (SHA-1): what may name a blob. Nothing else ever becomes a file's name.
bool is_etag(std::string_view text);
// Exactly 40 lower-case hex digits.
bool is_commit(std::string_view text);

// The digest of a file's first `size` bytes that `etag` would have to be: SHA-256 if it has 64 digits, else SHA-1 of "blob SIZE\0" and the bytes.
// `advance` is told the bytes since it was last called; when it returns false the work ends with cancelled.
// Fails with io, unsupported (no libcrypto), cancelled.
std::string file_digest(int fd, uint64_t size, std::string_view etag, std::string_view name, const std::function<bool(uint64_t)>& advance);

}  // namespace carat::hub
