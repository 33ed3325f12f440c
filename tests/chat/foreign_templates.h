#pragma once
// Whether templates of others can be run in this build: carat-template is there.
#include "base/error.h"
#include "chat/jinja_template.h"

namespace carat::test {

inline constexpr const char* kNoRust = "this build has no Rust (CARAT_RUST)";

inline bool have_rust() {
  try {
    run_template("", {});
  } catch (const Error& error) {
    return error.code() != ErrorCode::unsupported;
  }
  return true;
}

}  // namespace carat::test
