#pragma once
// Notices an answer that has come to say the same over and over: its last tokens are one stretch repeated.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace carat {

class RepetitionGuard {
 public:
  // limit: tokens that must repeat, and at least kLeastTimes times over; 0: never. Stretches of up to kLongest tokens are seen.
  explicit RepetitionGuard(int32_t limit) : limit_(limit) {}
  // True from the token on with which it is a runaway.
  bool push(int32_t id);

  static constexpr int32_t kLongest = 256, kLeastTimes = 8;

 private:
  int32_t limit_;
  std::vector<int32_t> last_;                                                    // a ring of kLongest tokens
  std::vector<int32_t> runs_ = std::vector<int32_t>(std::size_t{kLongest} + 1);  // [period]: how many tokens in a row equal the one a period before
  int64_t count_ = 0;
  bool runaway_ = false;
};

}  // namespace carat
