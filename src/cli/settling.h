#pragma once
// While nobody waits for an answer the engine makes its next steps faster.
#include <atomic>
#include <thread>

#include "engine/engine.h"

namespace carat::cli {

// From its beginning to its end, on a thread of its own; ends within milliseconds. No step may run meanwhile.
class Settling {
 public:
  explicit Settling(Engine& engine);
  ~Settling();
  Settling(const Settling&) = delete;
  Settling& operator=(const Settling&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace carat::cli
