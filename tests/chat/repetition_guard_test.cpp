#include "chat/repetition_guard.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace carat {
namespace {

// How many of `ids` pass before the guard speaks; -1: it never does.
int32_t spoke_after(RepetitionGuard guard, const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (guard.push(ids[i])) return static_cast<int32_t>(i) + 1;
  }
  return -1;
}

std::vector<int32_t> repeated(int32_t period, int32_t length) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < length; ++i) ids.push_back(1000 + i % period);
  return ids;
}

TEST(RepetitionGuard, SpeaksAfterTheLimitAndAtLeastEightTimes) {
  EXPECT_EQ(spoke_after(RepetitionGuard(100), repeated(1, 500)), 101);
  EXPECT_EQ(spoke_after(RepetitionGuard(100), repeated(7, 500)), 107);
  EXPECT_EQ(spoke_after(RepetitionGuard(100), repeated(50, 1000)), 400) << "eight times fifty";
  EXPECT_EQ(spoke_after(RepetitionGuard(100), repeated(RepetitionGuard::kLongest, 4000)), 8 * RepetitionGuard::kLongest);
  EXPECT_EQ(spoke_after(RepetitionGuard(100), repeated(RepetitionGuard::kLongest + 1, 4000)), -1) << "longer than it looks back";
}

TEST(RepetitionGuard, OrdinaryTextAndBrokenCyclesPass) {
  std::mt19937 random(1);
  std::vector<int32_t> text;
  for (int i = 0; i < 20000; ++i) text.push_back(static_cast<int32_t>(random() % 50));
  EXPECT_EQ(spoke_after(RepetitionGuard(100), text), -1);
  std::vector<int32_t> broken = repeated(5, 90);
  for (int round = 0; round < 20; ++round) {
    broken.push_back(round);
    const std::vector<int32_t> more = repeated(5, 90);
    broken.insert(broken.end(), more.begin(), more.end());
  }
  EXPECT_EQ(spoke_after(RepetitionGuard(100), broken), -1);
  EXPECT_EQ(spoke_after(RepetitionGuard(0), repeated(1, 5000)), -1) << "off";
}

}  // namespace
}  // namespace carat
