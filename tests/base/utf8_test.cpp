// UTF-8 by its definition: every character there is, every pair of bytes, and every way to cut a stream.
#include "base/utf8.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace carat {
namespace {

// Written out as the table of the standard has it, independent of the code under test.
std::string encode(uint32_t c) {
  const auto byte = [](uint32_t b) { return std::string(1, static_cast<char>(b)); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) return byte(0xC0 + c / 64) + byte(0x80 + c % 64);
  if (c < 0x10000) return byte(0xE0 + c / 4096) + byte(0x80 + c / 64 % 64) + byte(0x80 + c % 64);
  return byte(0xF0 + c / 262144) + byte(0x80 + c / 4096 % 64) + byte(0x80 + c / 64 % 64) + byte(0x80 + c % 64);
}
bool is_character(uint32_t c) { return c < 0x110000 && !(c >= 0xD800 && c < 0xE000); }

TEST(Utf8, EveryCharacterThereAndBack) {
  std::string all;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (!is_character(c)) continue;
    const std::string bytes = encode(c);
    std::string ours;
    utf8_append(c, ours);
    ASSERT_EQ(ours, bytes) << c;
    const Utf8Char decoded = utf8_decode(bytes + "\x80");
    ASSERT_EQ(decoded.code, c);
    ASSERT_EQ(decoded.length, static_cast<int>(bytes.size()));
    ASSERT_FALSE(decoded.incomplete);
    for (size_t n = 1; n < bytes.size(); ++n) {
      const Utf8Char part = utf8_decode(bytes.substr(0, n));
      ASSERT_EQ(part.length, 0);
      ASSERT_TRUE(part.incomplete) << c << ' ' << n;
    }
    all += bytes;
  }
  EXPECT_TRUE(utf8_valid(all));
  all.pop_back();
  EXPECT_FALSE(utf8_valid(all));
}

// Every sequence of up to three bytes, and the interesting ones of four: valid exactly if some character is written so, incomplete exactly if some begins so.
TEST(Utf8, EverySequenceOfBytes) {
  std::map<std::string, uint32_t> characters;
  std::map<std::string, bool> beginnings;
  for (uint32_t c = 0x80; c < 0x110000; c += c >= 0x10000 ? 64 : 1) {  // the last byte of four is free: one of 64 stands for all
    if (!is_character(c)) continue;
    const std::string bytes = encode(c);
    characters[bytes] = c;
    for (size_t n = 1; n < bytes.size(); ++n) beginnings[bytes.substr(0, n)] = true;
  }
  const auto expect = [&](const std::string& bytes) {
    const Utf8Char got = utf8_decode(bytes);
    Utf8Char want;
    for (size_t n = 1; n <= bytes.size() && want.length == 0; ++n) {
      if (const auto it = characters.find(bytes.substr(0, n)); it != characters.end()) want = {it->second, static_cast<int>(n), false};
    }
    if (want.length == 0) want.incomplete = beginnings.contains(bytes);
    ASSERT_EQ(got.length, want.length) << testing::PrintToString(bytes);
    ASSERT_EQ(got.incomplete, want.incomplete) << testing::PrintToString(bytes);
    ASSERT_EQ(got.code, want.code) << testing::PrintToString(bytes);
  };
  for (int a = 0x80; a < 0x100; ++a) {
    std::string one(1, static_cast<char>(a));
    expect(one);
    for (int b = 0; b < 0x100; ++b) {
      std::string two = one + static_cast<char>(b);
      expect(two);
      if (testing::Test::HasFatalFailure()) return;
      for (const int c : {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF}) {
        std::string three = two + static_cast<char>(c);
        expect(three);
        for (const int d : {0x00, 0x7F, 0x80, 0xC0, 0xFF}) expect(three + static_cast<char>(d));
      }
    }
  }
}

TEST(Utf8, ValidTexts) {
  for (const char* good : {"", "a", "é", "€", "🦙", "\uFFFD", "\U0010FFFF", "\uD7FF", "\uE000"}) EXPECT_TRUE(utf8_valid(good)) << good;
  EXPECT_TRUE(utf8_valid(std::string(3, '\0')));
  for (const char* bad :
       {"\x80", "\xC3", "a\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "é\xE2\x82", "\xC1\xBF", "\xF0\x80\x80\x80"}) {
    EXPECT_FALSE(utf8_valid(bad)) << testing::PrintToString(bad);
  }
}

std::string streamed(const std::vector<std::string>& parts) {
  Utf8Stream stream;
  std::string out;
  for (const std::string& p : parts) {
    std::string piece;
    stream.push(p, piece);
    EXPECT_TRUE(utf8_valid(piece));
    out += piece;
  }
  std::string rest;
  stream.flush(rest);
  EXPECT_FALSE(stream.waiting());
  EXPECT_TRUE(utf8_valid(rest));
  return out + rest;
}

// Byte for byte: a valid character stays, each other byte is one U+FFFD.
std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = utf8_decode(text);
    out += c.length == 0 ? "\uFFFD" : std::string(text.substr(0, static_cast<size_t>(c.length)));
    text.remove_prefix(c.length == 0 ? 1 : static_cast<size_t>(c.length));
  }
  return out;
}

TEST(Utf8Stream, EveryCut) {
  for (const std::string text : {"a🦙é€z", "\xF0\x9F\xA6z", "\xF0\x9F\xA6", "\xE2\x82\xC3\xA9", "\xED\xA0\x80x", "\xF4\x90\x80\x80", "\xC0\x80\xFF"}) {
    const std::string expected = repaired(text);
    for (size_t a = 0; a <= text.size(); ++a) {
      for (size_t b = a; b <= text.size(); ++b) EXPECT_EQ(streamed({text.substr(0, a), text.substr(a, b - a), text.substr(b)}), expected) << a << ' ' << b;
    }
  }
}

TEST(Utf8Stream, RandomBytesAndCuts) {
  std::mt19937_64 random(1);
  static constexpr uint8_t kBytes[] = {0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xC3, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF};
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::string> parts;
    std::string text;
    for (uint64_t n = random() % 8; n > 0; --n) {
      std::string part;
      for (uint64_t k = random() % 5; k > 0; --k) part.push_back(static_cast<char>(kBytes[random() % std::size(kBytes)]));
      parts.push_back(part);
      text += part;
    }
    ASSERT_EQ(streamed(parts), repaired(text)) << testing::PrintToString(parts);
  }
}

TEST(Utf8Stream, WaitsForNoMoreThanItMust) {
  Utf8Stream stream;
  std::string out;
  stream.push("a\xF0\x9F\xA6", out);
  EXPECT_EQ(out, "a");
  EXPECT_TRUE(stream.waiting());
  stream.push("", out);
  EXPECT_TRUE(stream.waiting());
  stream.push("\x99", out);
  EXPECT_EQ(out, "a🦙");
  EXPECT_FALSE(stream.waiting());
  stream.push("\xED\xA0", out);  // a surrogate: known to be wrong at its second byte
  EXPECT_EQ(out, "a🦙\uFFFD\uFFFD");
  EXPECT_FALSE(stream.waiting());
}

}  // namespace
}  // namespace carat
