// The one file that knows OpenSSL's digests. The library is opened when the first file is checked.
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "hub/digest.h"
#include "hub/late_library.h"

namespace carat::hub {
namespace {

constexpr size_t kBlock = size_t{4} << 20;

struct Crypto {
  decltype(::EVP_MD_CTX_new)* context_new;
  decltype(::EVP_MD_CTX_free)* context_free;
  decltype(::EVP_DigestInit_ex)* init;
  decltype(::EVP_DigestUpdate)* update;
  decltype(::EVP_DigestFinal_ex)* final;
  decltype(::EVP_sha256)* sha256;
  decltype(::EVP_sha1)* sha1;

  Crypto() {
    const LateLibrary library("libcrypto.so.3", "libssl3");
    library.get(context_new, "EVP_MD_CTX_new");
    library.get(context_free, "EVP_MD_CTX_free");
    library.get(init, "EVP_DigestInit_ex");
    library.get(update, "EVP_DigestUpdate");
    library.get(final, "EVP_DigestFinal_ex");
    library.get(sha256, "EVP_sha256");
    library.get(sha1, "EVP_sha1");
  }
};

const Crypto& crypto() {
  static const Crypto functions;
  return functions;
}

void require(int status) {
  if (status != 1) fail(ErrorCode::internal, "the digest of a file could not be computed, in libcrypto, please report it");
}

}  // namespace

std::string file_digest(int fd, uint64_t size, std::string_view etag, std::string_view name, const std::function<bool(uint64_t)>& advance) {
  const Crypto& c = crypto();
  const std::unique_ptr<EVP_MD_CTX, decltype(c.context_free)> context(c.context_new(), c.context_free);
  if (!context) throw std::bad_alloc();
  const bool git = etag.size() == 40;
  require(c.init(context.get(), git ? c.sha1() : c.sha256(), nullptr));
  if (git) {
    const std::string header = "blob " + std::to_string(size);
    require(c.update(context.get(), header.c_str(), header.size() + 1));  // with the zero byte at its end
  }
  std::vector<unsigned char> block(static_cast<size_t>(std::min<uint64_t>(size, kBlock)));
  for (uint64_t offset = 0; offset < size;) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(block.size(), size - offset));
    const ssize_t n = ::pread(fd, block.data(), want, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(ErrorCode::io, "a downloaded file cannot be read back, {}: {}, check the disk", name, n == 0 ? "it became shorter" : std::strerror(errno));
    require(c.update(context.get(), block.data(), static_cast<size_t>(n)));
    offset += static_cast<uint64_t>(n);
    if (advance && !advance(static_cast<uint64_t>(n))) fail(ErrorCode::cancelled, "interrupted, {}, run the same command again to go on", name);
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  require(c.final(context.get(), digest, &length));
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) fmt::format_to(std::back_inserter(hex), "{:02x}", digest[i]);
  return hex;
}

}  // namespace carat::hub
