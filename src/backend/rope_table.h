#pragma once
// cos and sin of position * freq by angle addition: a table for every 32nd position and one for 0..31, so that every reader of a position sees the same bits.
#include <cstdint>
#include <vector>

#include "backend/specs.h"

namespace carat {

class RopeTable {
 public:
  explicit RopeTable(const std::vector<float>& freqs);

  const std::vector<float>& freqs() const { return freqs_; }
  int64_t pairs() const { return static_cast<int64_t>(freqs_.size()); }
  void reserve(int64_t positions);                              // makes positions [0, positions) known; not thread-safe
  void angles(int64_t position, float* cos, float* sin) const;  // [pairs]; position must be reserved

  const float* cos_base() const { return cos_base_.data(); }  // [tile][pairs]
  const float* sin_base() const { return sin_base_.data(); }
  const float* cos_offset() const { return cos_offset_.data(); }  // [pairs][32]
  const float* sin_offset() const { return sin_offset_.data(); }

 private:
  std::vector<float> freqs_;
  std::vector<float> cos_base_, sin_base_, cos_offset_, sin_offset_;
};

// The tables of a backend, one for each set of frequencies.
class RopeTables {
 public:
  RopeTable& of(const RopeSpec& spec);

 private:
  std::vector<std::unique_ptr<RopeTable>> tables_;
};

}  // namespace carat
