#include "backend/rope_table.h"

#include <cmath>

namespace carat {

RopeTable::RopeTable(const std::vector<float>& freqs) : freqs_(freqs) {
  cos_offset_.resize(freqs.size() * 32);
  sin_offset_.resize(freqs.size() * 32);
  for (size_t i = 0; i < freqs.size(); ++i)
    for (int j = 0; j < 32; ++j) {
      const double angle = double{freqs[i]} * j;
      cos_offset_[i * 32 + static_cast<size_t>(j)] = static_cast<float>(std::cos(angle));
      sin_offset_[i * 32 + static_cast<size_t>(j)] = static_cast<float>(std::sin(angle));
    }
}

void RopeTable::reserve(int64_t positions) {
  const size_t tiles = static_cast<size_t>((positions + 31) / 32);
  const size_t have = freqs_.empty() ? tiles : cos_base_.size() / freqs_.size();
  for (size_t t = have; t < tiles; ++t)
    for (float f : freqs_) {
      const double angle = double{f} * static_cast<double>(t * 32);
      cos_base_.push_back(static_cast<float>(std::cos(angle)));
      sin_base_.push_back(static_cast<float>(std::sin(angle)));
    }
}

void RopeTable::angles(int64_t position, float* cos, float* sin) const {
  const size_t n = freqs_.size();
  const float* cb = cos_base_.data() + static_cast<size_t>(position / 32) * n;
  const float* sb = sin_base_.data() + static_cast<size_t>(position / 32) * n;
  const size_t j = static_cast<size_t>(position % 32);
  for (size_t i = 0; i < n; ++i) {
    const float co = cos_offset_[i * 32 + j];
    const float so = sin_offset_[i * 32 + j];
    cos[i] = cb[i] * co - sb[i] * so;
    sin[i] = sb[i] * co + cb[i] * so;
  }
}

RopeTable& RopeTables::of(const RopeSpec& spec) {
  for (auto& t : tables_)
    if (t->freqs() == spec.freqs) return *t;
  tables_.push_back(std::make_unique<RopeTable>(spec.freqs));
  return *tables_.back();
}

}  // namespace carat
