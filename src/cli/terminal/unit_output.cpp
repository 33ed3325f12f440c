#include "cli/terminal/unit_output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/utf8.h"

namespace carat::cli {
namespace {

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // a terminal that is gone: reading will tell
    text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

UnitOutput::UnitOutput(int fd, const EditUnits& units) : fd_(fd), units_(units) {
  cookie_io_functions_t functions{};
  functions.write = [](void* self, const char* bytes, size_t n) -> ssize_t {
    static_cast<UnitOutput*>(self)->write({bytes, n});
    return static_cast<ssize_t>(n);
  };
  file_ = ::fopencookie(this, "w", functions);
  check(file_ != nullptr, "there is no stream for the line editor");
}

UnitOutput::~UnitOutput() { std::fclose(file_); }

void UnitOutput::put(std::string_view text) {
  std::fflush(file_);
  write_all(fd_, text);
}

void UnitOutput::write(std::string_view bytes) {
  unwritten_ += bytes;
  std::string shown;
  std::string_view rest = unwritten_;
  while (!rest.empty()) {
    const Utf8Char c = utf8_decode(rest);
    if (c.incomplete) break;
    const auto length = static_cast<size_t>(std::max(1, c.length));
    shown += c.length > 0 ? units_.shown(static_cast<wchar_t>(c.code)) : std::string(rest.substr(0, 1));
    rest.remove_prefix(length);
  }
  unwritten_ = std::string(rest);
  write_all(fd_, shown);
}

}  // namespace carat::cli
