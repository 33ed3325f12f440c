#pragma once
// The one rule for errors: an operation that cannot be done throws Error. Expected outcomes are values.
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace carat {

enum class ErrorCode { invalid_argument, not_found, unsupported, corrupt, io, exhausted, cancelled, internal };

// "corrupt", "io", ...: stable names for logs and JSON.
std::string_view to_string(ErrorCode code);

// The only exception type thrown by Carat. what() says what is wrong, where, and what to do about it, in one line.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

[[noreturn]] void fail(ErrorCode code, std::string message);

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  fail(code, fmt::vformat(format, fmt::make_format_args(args...)));
}

// Guards an invariant of our own in all builds. Never used on bytes from outside: those get fail(corrupt, ...).
inline void check(bool ok, std::string_view what) {
  if (!ok) fail(ErrorCode::internal, std::string("internal: ") + std::string(what));
}

}  // namespace carat
