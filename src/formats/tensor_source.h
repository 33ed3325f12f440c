#pragma once
// Where the rows of a tensor come from when the file does not hold them as they are asked for.
#include <cstddef>
#include <cstdint>

namespace carat {

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // Fills `out` with rows [row0, row0 + n), which exist, in the tensor's type. Thread-safe. Fails with io or corrupt.
  virtual void read_rows(int64_t row0, int64_t n, std::byte* out) const = 0;
};

}  // namespace carat
