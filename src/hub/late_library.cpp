#include "hub/late_library.h"

#include <dlfcn.h>

#include "base/error.h"

namespace carat::hub {

LateLibrary::LateLibrary(const char* file, const char* package) : file_(file), handle_(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    const char* reason = ::dlerror();
    fail(ErrorCode::unsupported, "a library that downloads need cannot be opened, {}: {}, install the package {}", file, reason == nullptr ? "" : reason,
         package);
  }
}

void* LateLibrary::symbol(const char* name) const {
  void* found = ::dlsym(handle_, name);
  if (found == nullptr) fail(ErrorCode::unsupported, "a library that downloads need is too old, {}: it has no {}, install a newer one", file_, name);
  return found;
}

}  // namespace carat::hub
