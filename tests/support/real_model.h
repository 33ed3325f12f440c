#pragma once
// The real Gemma 3 270M (Q4_K_M) that `./dev model` installs.
#include "support/golden.h"

namespace carat::test {

inline std::filesystem::path real_model() {
  const char* path = std::getenv("CARAT_MODEL_270M");
  return path ? std::filesystem::path(path) : std::filesystem::path(CARAT_SOURCE_DIR) / "models" / "gemma-3-270m-q4_k_m.gguf";
}
inline bool have_real_model() { return std::filesystem::exists(real_model()) && have_golden(); }

}  // namespace carat::test
