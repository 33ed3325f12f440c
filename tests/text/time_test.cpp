// Time grows with the text, whatever the text: no input makes it grow with the square.
#include <gtest/gtest.h>
#include <time.h>

#include <limits>

#include "text/random_text.h"
#include "text/vocabularies.h"

namespace carat::test {
namespace {

double thread_seconds() {  // of this thread alone: what else the machine does is not in it
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double seconds_of(const Tokenizer& tokenizer, const std::string& text) {
  const double begin = thread_seconds();
  const Ids ids = tokenizer.encode(text, kText);
  const double seconds = thread_seconds() - begin;
  EXPECT_FALSE(ids.empty());
  return seconds;
}

std::string of_size(size_t bytes, const auto& add) {
  std::string text;
  while (text.size() < bytes) add(text);
  return text;
}

// Four times the text: 4 times the time would be ideal, 16 times a square. The best of a few, as noise only ever adds.
void expect_linear(const Tokenizer& tokenizer, const std::string& name, const auto& add) {
  constexpr size_t kSmall = 256 << 10, kLarge = 1 << 20;
  const std::string small = of_size(kSmall, add), large = of_size(kLarge, add);
  double ratio = 0;
  double best_small = std::numeric_limits<double>::infinity(), best_large = best_small;
  for (int attempt = 0; attempt < 6; ++attempt) {
    best_small = std::min(best_small, seconds_of(tokenizer, small));
    best_large = std::min(best_large, seconds_of(tokenizer, large));
    ratio = best_large / best_small;
    if (attempt > 0 && ratio < 8) break;
  }
  EXPECT_LT(ratio, 8) << name << ": " << best_small << " s for 256 KiB, " << best_large << " s for 1 MiB";
}

void expect_linear_everywhere(const Tokenizer& tokenizer) {
  expect_linear(tokenizer, "a", [](std::string& s) { s += 'a'; });
  expect_linear(tokenizer, "newlines", [](std::string& s) { s += '\n'; });
  expect_linear(tokenizer, "spaces", [](std::string& s) { s += ' '; });
  expect_linear(tokenizer, "ab", [](std::string& s) { s += "ab"; });
  expect_linear(tokenizer, "half specials", [](std::string& s) { s += "<|turn"; });
  expect_linear(tokenizer, "spaces before half specials", [](std::string& s) { s += "   <"; });
  RandomText random(31);
  expect_linear(tokenizer, "random characters", [&](std::string& s) { append_character(random.any_character(), s); });
  expect_linear(tokenizer, "Thai without spaces", [&](std::string& s) { append_character(random.between(0x0E01, 0x0E4E), s); });
  expect_linear(tokenizer, "letters without spaces", [&](std::string& s) { s.push_back(static_cast<char>(random.between('a', 'z'))); });
  expect_linear(tokenizer, "bytes that are no text", [&](std::string& s) { s.push_back(static_cast<char>(random.between(128, 255))); });
}

TEST(EncodingTime, TinyVocabulary) { expect_linear_everywhere(*tiny_tokenizer()); }
TEST(EncodingTime, Gemma4) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  expect_linear_everywhere(*gemma4_tokenizer());
}
TEST(EncodingTime, Gemma3) {
  if (const std::string why = missing_gemma3(); !why.empty()) GTEST_SKIP() << why;
  expect_linear_everywhere(*gemma3_tokenizer());
}

// Long texts take the same ways as short ones: the ids of a long run are those of the run's parts.
TEST(EncodingTime, LongRunsAreRight) {
  if (const std::string why = missing_gemma4(); !why.empty()) GTEST_SKIP() << why;
  const Ids ids = gemma4_tokenizer()->encode(std::string(1 << 20, '\n'), kText);
  ASSERT_EQ(ids.size(), (size_t{1} << 20) / 31 + 1);
  for (size_t i = 0; i + 1 < ids.size(); ++i) ASSERT_EQ(ids[i], 137);
  EXPECT_EQ(ids.back(), 106 + (1 << 20) % 31);
  for (const char c : {'a', ' ', '=', '0'}) {
    const std::string text(1 << 20, c);
    EXPECT_EQ(gemma4_tokenizer()->decode(gemma4_tokenizer()->encode(text, kText)), text);
  }
}

}  // namespace
}  // namespace carat::test
