#pragma once
// Where the results of a step live: one arena for what is made before the first layer, two that take turns part by part.
#include "base/arena.h"
#include "tensor/tensor.h"

namespace carat {

class StepArena {
 public:
  void begin() {
    for (Arena& a : arenas_) a.reset();
    current_ = 0;
  }
  void begin_part() {
    current_ = current_ == 1 ? 2 : 1;
    arenas_[current_].reset();
  }
  Tensor tensor(int64_t rows, int64_t cols) { return {arenas_[current_].allocate_array<float>(rows * cols), rows, cols}; }
  template <typename T>
  T* array(int64_t n) {
    return arenas_[current_].allocate_array<T>(n);
  }
  size_t capacity() const { return arenas_[0].capacity() + arenas_[1].capacity() + arenas_[2].capacity(); }
  size_t peak() const { return arenas_[0].peak() + arenas_[1].peak() + arenas_[2].peak(); }
  void release() {
    for (Arena& a : arenas_) a.release();
  }

 private:
  Arena arenas_[3];
  int current_ = 0;
};

}  // namespace carat
