// Stop strings: found across every cut of the text, shown never, and nothing held back that cannot be one's beginning.
#include <gtest/gtest.h>

#include <algorithm>

#include "text/detokenizer.h"
#include "text/random_text.h"

namespace carat::test {
namespace {

struct Outcome {
  std::string shown;
  bool stopped = false;
  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& o) { return out << '"' << o.shown << '"' << (o.stopped ? " stopped" : ""); }

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& parts) {
  StopMatcher matcher(stops);
  Outcome o;
  for (const std::string& p : parts) {
    const StopMatcher::Result r = matcher.push(p);
    o.shown += r.text;
    if (r.stopped) return {o.shown, true};
  }
  o.shown += matcher.flush();
  return o;
}

// The definition: the stop string that is complete first; of those that end at the same byte the longest.
Outcome by_definition(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : stops) {
      if (!s.empty() && s.size() > longest && std::string_view(text).substr(0, end).ends_with(s)) longest = s.size();
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

void expect_at_every_cut(const std::vector<std::string>& stops, const std::string& text, const Outcome& expected) {
  EXPECT_EQ(by_definition(stops, text), expected);
  std::vector<std::string> bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  EXPECT_EQ(run(stops, {text}), expected);
  EXPECT_EQ(run(stops, bytes), expected);
  for (size_t a = 0; a <= text.size(); ++a) {
    for (size_t b = a; b <= text.size(); ++b) EXPECT_EQ(run(stops, {text.substr(0, a), text.substr(a, b - a), text.substr(b)}), expected) << a << ' ' << b;
  }
}

TEST(StopMatcher, FindsAStopAtEveryCut) {
  expect_at_every_cut({"END"}, "some text END more", {"some text ", true});
  expect_at_every_cut({"END"}, "END", {"", true});
  expect_at_every_cut({"END"}, "EEND", {"E", true});
  expect_at_every_cut({"END"}, "EN EN", {"EN EN", false});
  expect_at_every_cut({"abab"}, "aababab", {"a", true});
  expect_at_every_cut({"aab"}, "aaaab", {"aa", true});
  expect_at_every_cut({"\n\nUser:"}, "Hi\n\n\nUser: x", {"Hi\n", true});
  expect_at_every_cut({"。"}, "はい。では", {"はい", true});
}

TEST(StopMatcher, SeveralStops) {
  expect_at_every_cut({"x", "abc"}, "1abc2x", {"1", true});
  expect_at_every_cut({"abc", "x"}, "1x2abc", {"1", true});
  expect_at_every_cut({"bc", "abcd"}, "1abcd", {"1a", true});    // complete first
  expect_at_every_cut({"c", "abc", "bc"}, "1abc", {"1", true});  // complete together: the longest
  expect_at_every_cut({"abcX", "bcd"}, "1abcd", {"1a", true});   // begun earlier, but never complete
  expect_at_every_cut({"stop", "stopping"}, "a stopping", {"a ", true});
}

TEST(StopMatcher, NoStops) {
  EXPECT_EQ(run({}, {"a", "b"}), (Outcome{"ab", false}));
  EXPECT_EQ(run({"", ""}, {"a", "b"}), (Outcome{"ab", false}));
  EXPECT_EQ(run({"", "b"}, {"a", "b"}), (Outcome{"a", true}));
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("abc").text, "abc");  // at once
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, HoldsWhatCouldBeAStopAndNoMore) {
  StopMatcher matcher({"END", "\n\n"});
  EXPECT_EQ(matcher.push("abc").text, "abc");
  EXPECT_EQ(matcher.push("xE").text, "x");
  EXPECT_EQ(matcher.push("N").text, "");
  EXPECT_EQ(matcher.push("E").text, "EN");  // the new E may be one's beginning
  EXPECT_EQ(matcher.push("\n").text, "E");
  EXPECT_EQ(matcher.push("E").text, "\n");
  EXPECT_EQ(matcher.flush(), "E");  // the end for another reason: all of it is shown
  EXPECT_EQ(matcher.flush(), "");
  EXPECT_FALSE(matcher.push("ND").stopped);  // what was shown is not part of a stop any more
}

TEST(StopMatcher, StaysStopped) {
  StopMatcher matcher({"."});
  const StopMatcher::Result r = matcher.push("a.b");
  EXPECT_TRUE(r.stopped);
  EXPECT_EQ(r.text, "a");
  EXPECT_EQ(matcher.flush(), "");
  EXPECT_TRUE(matcher.push("more").stopped);
  EXPECT_EQ(matcher.push("more").text, "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, RandomTextsAndCuts) {
  RandomText random(51);
  const auto word = [&](uint32_t longest, uint32_t letters) {
    std::string s;
    for (uint32_t n = random.between(1, longest); n > 0; --n) s.push_back(static_cast<char>('a' + random.below(letters)));
    return s;
  };
  for (int i = 0; i < 20000; ++i) {
    const uint32_t letters = random.between(1, 3);
    std::vector<std::string> stops, parts;
    for (uint32_t n = random.between(1, 4); n > 0; --n) stops.push_back(word(6, letters));
    std::string text;
    for (uint32_t n = random.between(0, 8); n > 0; --n) parts.push_back(word(5, letters)), text += parts.back();
    ASSERT_EQ(run(stops, parts), by_definition(stops, text)) << testing::PrintToString(stops) << ' ' << testing::PrintToString(parts);
  }
}

// What is held back is the longest end of the text that begins a stop string, at every moment.
TEST(StopMatcher, HoldsExactlyTheLongestBeginning) {
  RandomText random(52);
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::string> stops;
    for (uint32_t n = random.between(1, 3); n > 0; --n) {
      std::string s;
      for (uint32_t k = random.between(2, 6); k > 0; --k) s.push_back(static_cast<char>('a' + random.below(2)));
      stops.push_back(s);
    }
    StopMatcher matcher(stops);
    std::string text, shown;
    for (int k = 0; k < 12; ++k) {
      const std::string part(1, static_cast<char>('a' + random.below(3)));
      text += part;
      const StopMatcher::Result r = matcher.push(part);
      shown += r.text;
      if (r.stopped) break;
      size_t held = 0;
      for (const std::string& s : stops) {
        for (size_t n = 1; n < s.size() && n <= text.size(); ++n) {
          if (text.ends_with(s.substr(0, n))) held = std::max(held, n);
        }
      }
      ASSERT_EQ(shown, text.substr(0, text.size() - held));
    }
  }
}

}  // namespace
}  // namespace carat::test
