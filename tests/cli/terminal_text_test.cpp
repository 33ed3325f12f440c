// Widths, looks, the bar, messages of several lines.
#include <gtest/gtest.h>

#include "cli/terminal/display_width.h"
#include "cli/terminal/multiline.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/style.h"
#include "cli/terminal/thinking_view.h"

namespace carat::cli {
namespace {

const std::string kChinese = "\xe4\xb8\xad\xe6\x96\x87", kAcute = "e\xcc\x81", kSmile = "\xf0\x9f\x98\x80";

TEST(DisplayWidth, CountsColumns) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width(kChinese), 4u);
  EXPECT_EQ(display_width(kAcute), 1u);
  EXPECT_EQ(display_width(kSmile + "\xef\xb8\x8f"), 2u);
  EXPECT_EQ(display_width("\x1b"), 0u);
  EXPECT_EQ(character_width(0x1fae8), 2) << "a pictograph newer than the C library's table";
  EXPECT_EQ(character_width(0x301), 0);
  EXPECT_EQ(character_width('\n'), -1);
}

TEST(DisplayWidth, CutsBetweenCharacters) {
  EXPECT_EQ(fit_front(kChinese, 3), "\xe4\xb8\xad");
  EXPECT_EQ(fit_back(kChinese, 3), "\xe6\x96\x87");
  EXPECT_EQ(fit_front(kAcute + kAcute, 1), kAcute);
  EXPECT_EQ(fit_back("x" + kAcute, 1), kAcute);
  EXPECT_EQ(fit_front("abc", 10), "abc");
  EXPECT_EQ(fit_back("abc", 10), "abc");
  EXPECT_EQ(fit_front("abc", 0), "");
  EXPECT_EQ(fit_back(kSmile, 1), "");
}

TEST(DisplayWidth, WrapsAtBlanks) {
  EXPECT_EQ(wrapped("one two three", 7), "one two\nthree");
  EXPECT_EQ(wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(wrapped("a verylongword b", 5), "a\nverylongword\nb");
  EXPECT_EQ(wrapped(kChinese + " " + kChinese, 8), kChinese + "\n" + kChinese);
  EXPECT_EQ(wrapped("", 5), "");
}

TEST(Style, IsWantedOnTerminalsUnlessSomebodyObjects) {
  const StyleSettings terminal{.terminal = true, .no_color = "", .force = "", .term = "xterm"};
  EXPECT_TRUE(styles_wanted(terminal));
  const auto with = [&](auto change) {
    StyleSettings settings = terminal;
    change(settings);
    return styles_wanted(settings);
  };
  EXPECT_FALSE(with([](StyleSettings& s) { s.no_color = "1"; }));
  EXPECT_FALSE(with([](StyleSettings& s) { s.term = "dumb"; }));
  EXPECT_FALSE(with([](StyleSettings& s) { s.term = ""; }));
  EXPECT_FALSE(with([](StyleSettings& s) { s.terminal = false; }));
  EXPECT_TRUE(with([](StyleSettings& s) {
    s.terminal = false;
    s.force = "1";
  }));
  EXPECT_FALSE(with([](StyleSettings& s) {
    s.force = "1";
    s.no_color = "1";
  })) << "no wins";
  EXPECT_FALSE(with([](StyleSettings& s) {
    s.terminal = false;
    s.force = "0";
  }));
}

TEST(Style, SequencesBeginAndEnd) {
  EXPECT_EQ(styled(true, style::bold | style::italic, "a"), "\x1b[1;3ma\x1b[0m");
  EXPECT_EQ(styled(false, style::bold, "a"), "a");
  EXPECT_EQ(styled(true, style::plain, "a"), "a");
  EXPECT_EQ(styled(true, style::dim, ""), "");
}

TEST(ProgressBar, LeavesOutWhatDoesNotFit) {
  const uint64_t gb = 1000000000;
  EXPECT_EQ(progress_text("loading", gb / 2, gb, 0, 79), "loading [###############...............]  50 %");
  EXPECT_EQ(progress_text("loading", gb / 2, gb, 1e8, 79), "loading [###############...............]  50 %  100.0 MB/s  5 s left");
  EXPECT_EQ(progress_text("loading", gb / 2, gb, 1e8, 39), "loading  50 %  100.0 MB/s  5 s left") << "no place for a bar";
  EXPECT_EQ(progress_text("model.gguf", gb / 2, gb, 1e6, 42), "model.gguf [###...]  50 %  8 min 20 s left");
  EXPECT_EQ(progress_text("a-long-name-of-a-file.gguf", gb / 2, gb, 1e6, 20), "a-long-name-of  50 %");
  EXPECT_EQ(progress_text("x", 5, 0, 0, 39), "x 5 B");
  EXPECT_EQ(progress_text("x", 7, 5, 0, 8), "x 100 %") << "more than was foretold";
  for (size_t columns = 9; columns < 90; ++columns) {
    EXPECT_LE(display_width(progress_text(kChinese + kChinese + kChinese, gb / 3, gb, 1.5e6, columns)), columns);
  }
}

TEST(ProgressBar, NumbersForPeople) {
  EXPECT_EQ(readable_bytes(950), "950 B");
  EXPECT_EQ(readable_bytes(999.9), "1.0 kB");
  EXPECT_EQ(readable_bytes(12.34e6), "12.3 MB");
  EXPECT_EQ(readable_bytes(5e15), "5000.0 TB");
  EXPECT_EQ(readable_seconds(8.4), "8 s");
  EXPECT_EQ(readable_seconds(200), "3 min 20 s");
  EXPECT_EQ(readable_seconds(7500), "2 h 5 min");
  EXPECT_EQ(readable_seconds(1e30), "99 h 0 min");
}

TEST(Multiline, BlocksAndBackslashesGoOn) {
  EXPECT_FALSE(message_goes_on("plain"));
  EXPECT_FALSE(message_goes_on(""));
  EXPECT_TRUE(message_goes_on("a\\"));
  EXPECT_FALSE(message_goes_on("a\\\nb"));
  EXPECT_TRUE(message_goes_on(R"(""")"));
  EXPECT_TRUE(message_goes_on("\"\"\"a\nb"));
  EXPECT_FALSE(message_goes_on(R"("""a""")"));
  EXPECT_FALSE(message_goes_on("\"\"\"\na\n\"\"\" "));
  EXPECT_TRUE(message_goes_on(R"("""")")) << "four marks: opened, and one that is text";
}

TEST(Multiline, MeansTheTextWithoutItsMarks) {
  EXPECT_EQ(typed_message("plain"), "plain");
  EXPECT_EQ(typed_message("a\\\nb"), "a\nb");
  EXPECT_EQ(typed_message("a\\b"), "a\\b");
  EXPECT_EQ(typed_message("\"\"\"\na\nb\n\"\"\""), "a\nb");
  EXPECT_EQ(typed_message(R"("""a""" )"), "a");
  EXPECT_EQ(typed_message("\"\"\"\n\n\"\"\""), "");
  EXPECT_EQ(typed_message("\"\"\"open"), "\"\"\"open");
}

TEST(Multiline, MovesBetweenLines) {
  const std::wstring text = L"abc\nd\n\nefgh";
  EXPECT_EQ(place_above_or_below(text, 2, -1), std::nullopt);
  EXPECT_EQ(place_above_or_below(text, 2, +1), 5u) << "the end of a shorter line";
  EXPECT_EQ(place_above_or_below(text, 4, -1), 0u);
  EXPECT_EQ(place_above_or_below(text, 4, +1), 6u);
  EXPECT_EQ(place_above_or_below(text, 6, +1), 7u);
  EXPECT_EQ(place_above_or_below(text, 11, -1), 6u);
  EXPECT_EQ(place_above_or_below(text, 11, +1), std::nullopt);
  EXPECT_EQ(place_above_or_below(L"", 0, -1), std::nullopt);
  EXPECT_EQ(place_above_or_below(L"", 0, +1), std::nullopt);
}

TEST(ThinkingView, IndentsWhatItShows) {
  EXPECT_EQ(thought_text("a\n\nb\n", false), "  a\n\n  b\n");
  EXPECT_EQ(thought_text("\x1b[1m", true), "\x1b[2m  \\x1b[1m\x1b[0m\n");
}

}  // namespace
}  // namespace carat::cli
