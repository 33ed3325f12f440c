#include "chat/repetition_guard.h"

#include <algorithm>

namespace carat {

bool RepetitionGuard::push(int32_t id) {
  if (limit_ <= 0 || runaway_) return runaway_;
  last_.resize(size_t{kLongest}, -1);
  const auto periods = static_cast<int32_t>(std::min<int64_t>(kLongest, count_));
  for (int32_t period = 1; period <= periods; ++period) {
    int32_t& run = runs_[static_cast<size_t>(period)];
    run = last_[static_cast<size_t>((count_ - period) % kLongest)] == id ? run + 1 : 0;
    if (run >= limit_ && run >= period * (kLeastTimes - 1)) runaway_ = true;  // the stretch itself is before the run
  }
  last_[static_cast<size_t>(count_ % kLongest)] = id;
  ++count_;
  return runaway_;
}

}  // namespace carat
