#pragma once
// A view of f32 activations: [rows, cols], row-major, never owning. T rows of tokens, cols = whatever the verb says.
#include <cstdint>

namespace carat {

struct Tensor {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  float* row(int64_t r) const { return data + r * cols; }
  int64_t size() const { return rows * cols; }
  explicit operator bool() const { return data != nullptr; }
};

}  // namespace carat
