#pragma once
// Which columns of each matrix matter: a model is run over a text, and the squares of what each matrix is multiplied with are averaged.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "quant/quantise.h"

namespace carat {
class Checkpoint;
}

namespace carat::quant {

struct RunOptions {
  int num_threads = 0;                                              // 0: default_num_threads()
  std::string isa = {};                                             // empty: the best this CPU has
  std::function<void(uint64_t done, uint64_t total)> loading = {};  // bytes
  std::function<void(uint64_t done, uint64_t total)> running = {};  // tokens
  std::function<bool()> going_on = {};
};

// Of every matrix of the layers that may be quantised, by its name in a GGUF; experts that no token was sent to have zeros. The embedding, which is also the head, has
// none: its rows are looked up as well. The forward pass gives the same bits as without being watched. ids: inside the vocabulary; bos goes in front of each window.
// Fails as loading a model does, with invalid_argument (fewer than two tokens), cancelled.
Importance collect_importance(const std::shared_ptr<const Checkpoint>& checkpoint, std::span<const int32_t> ids, int32_t bos, const RunOptions& options);

}  // namespace carat::quant
