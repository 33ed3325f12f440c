#include "cli/terminal/markdown.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "cli/console.h"

namespace carat::cli {
namespace {

std::string render(std::string_view text, bool rendered = true) {
  MarkdownStream markdown(rendered);
  std::string out;
  markdown.push(text, out);
  markdown.finish(out);
  return out;
}

// The escape sequences of looks taken out.
std::string visible(std::string_view out) {
  std::string text;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '\x1b') {
      i = out.find('m', i);
      if (i == std::string_view::npos) break;
    } else {
      text += out[i];
    }
  }
  return text;
}

std::string in_pieces(std::string_view text, std::mt19937& random) {
  MarkdownStream markdown(true);
  std::string out;
  while (!text.empty()) {
    const size_t n = std::min<size_t>(text.size(), std::uniform_int_distribution<size_t>(1, 7)(random));
    markdown.push(text.substr(0, n), out);
    text.remove_prefix(n);
  }
  markdown.finish(out);
  return out;
}

constexpr const char* kBold = "\x1b[1m";
constexpr const char* kItalic = "\x1b[3m";
constexpr const char* kCode = "\x1b[36m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kEnd = "\x1b[0m";

TEST(Markdown, PlainTextIsAsItIs) {
  for (const char* text :
       {"", "plain", "two\nlines\n\n", "- a\n* b\n1. c\n> quoted\n| a | b |\n|---|---|\n", "[text](http://x/y_z)", "snake_case_name", "a \\ b", "#hash",
        "####### seven", "1 * 2 * 3", "2*3*4", "2**8**2", "* * *", "***", "a *", "tab\tbed", "\xe4\xb8\xad\xe6\x96\x87\n"}) {
    EXPECT_EQ(render(text), text);
  }
}

TEST(Markdown, SpansLoseTheirMarks) {
  EXPECT_EQ(render("a **b** c"), std::string("a ") + kBold + "b" + kEnd + " c");
  EXPECT_EQ(render("a *b* c"), std::string("a ") + kItalic + "b" + kEnd + " c");
  EXPECT_EQ(render("***b***"), std::string("\x1b[1;3m") + "b" + kEnd);
  EXPECT_EQ(render("`a*b*c`."), std::string(kCode) + "a*b*c" + kEnd + ".");
  EXPECT_EQ(render("`` a`b ``"), std::string(kCode) + "a`b" + kEnd);
  EXPECT_EQ(render("# Title\ntext"), std::string(kBold) + "Title\n" + kEnd + "text");
  EXPECT_EQ(visible(render("## A **b** `c`\n")), "A b c\n");
  EXPECT_EQ(visible(render("**a *b* c**")), "a b c");
  EXPECT_EQ(visible(render("**a `**` c**")), "a ** c");
  EXPECT_EQ(visible(render("- **\xe4\xb8\xad**\xe6\x96\x87")), "- \xe4\xb8\xad\xe6\x96\x87");
  EXPECT_EQ(visible(render("\xe8\xbf\x99**\xe4\xb8\xad**")), "\xe8\xbf\x99\xe4\xb8\xad") << "in scripts without blanks";
  EXPECT_EQ(visible(render("\\*a\\* \\`b\\` C:\\dir")), "*a* `b` C:\\dir");
}

TEST(Markdown, MarksWithoutCounterpartStay) {
  for (const char* text : {"use *args and **kwargs", "a ` b", "**never closed\nnext", "`one\nline`", "``a`", "x **", "`", "*", "**a * b", "* a*b"})
    EXPECT_EQ(render(text), text);
}

TEST(Markdown, FencedBlocksAreVerbatim) {
  EXPECT_EQ(render("```py\nx = **y**  # *z*\n```\nafter **b**\n"),
            std::string(kDim) + "```py\n" + kEnd + kCode + "x = **y**  # *z*\n" + kEnd + kDim + "```\n" + kEnd + "after " + kBold + "b" + kEnd + "\n");
  EXPECT_EQ(visible(render("~~~\n```\n~~~ x\n~~~~\n**b**")), "~~~\n```\n~~~ x\n~~~~\nb");
  EXPECT_EQ(visible(render("1. a\n   ```sh\n   ls *.c *.h\n   ```\n2. *b*")), "1. a\n   ```sh\n   ls *.c *.h\n   ```\n2. b");
  EXPECT_EQ(visible(render("```a``` b")), "a b") << "a span, not a fence";
  EXPECT_EQ(visible(render("```\nnever *closed*")), "```\nnever *closed*");
}

TEST(Markdown, WhatWaitsIsBounded) {
  const std::string long_line = "**" + std::string(1000, 'x') + "** y";
  MarkdownStream markdown(true);
  std::string out;
  size_t given = 0;
  for (const char c : long_line) {
    markdown.push(std::string_view(&c, 1), out);
    ++given;
    EXPECT_LE(given, visible(out).size() + MarkdownStream::kMaxHeld + 1);
  }
  markdown.finish(out);
  EXPECT_EQ(visible(out), long_line);
  for (const char* mark : {"*", "`", "#", "~", " ", "`a", "*a ", "**a*b`"}) {
    std::string many;
    while (many.size() < 20000) many += mark;
    MarkdownStream stream(true);
    std::string shown;
    stream.push(many, shown);
    EXPECT_GE(visible(shown).size(), 4000u) << mark;
  }
}

TEST(Markdown, NothingStaysOpenBetweenPieces) {
  MarkdownStream markdown(true);
  for (const char* piece : {"# Tit", "le\n", "```\nco", "de\n", "more", "\n```\n", "**a", "b**"}) {
    std::string out;
    markdown.push(piece, out);
    if (out.find('\x1b') != std::string::npos) {
      EXPECT_TRUE(out.ends_with(kEnd) || out.rfind('\x1b') == out.rfind(kEnd)) << piece;
    }
  }
}

TEST(Markdown, ControlCharactersAreSpelledOut) {
  EXPECT_EQ(render("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(visible(render("**\x1b]0;title\x07**")), "\\x1b]0;title\\x07");
  EXPECT_EQ(visible(render("```\n\x1b[2J\n```")), "```\n\\x1b[2J\n```");
  EXPECT_EQ(visible(render("`\xc2\x9b`")), "\\x9b");
  EXPECT_EQ(render("a\xff", false), "a\xef\xbf\xbd");
}

TEST(Markdown, UnrenderedIsTheTextItself) {
  EXPECT_EQ(render("# **a** `b`\n```\nc\n```", false), "# **a** `b`\n```\nc\n```");
  EXPECT_EQ(render("\x1b[1m", false), "\\x1b[1m");
}

// Whatever is written and wherever it is cut: the same text comes out.
TEST(Markdown, TheTextDoesNotDependOnThePieces) {
  std::mt19937 random(7);
  const std::vector<std::string> parts = {"*",
                                          "**",
                                          "***",
                                          "`",
                                          "``",
                                          "```",
                                          "```\n",
                                          "~~~\n",
                                          "\n",
                                          "\n\n",
                                          "#",
                                          "# ",
                                          " ",
                                          "  ",
                                          "a",
                                          "word",
                                          "2",
                                          "\\",
                                          "\\*",
                                          "-",
                                          "- ",
                                          "> ",
                                          "1. ",
                                          "\xe4\xb8\xad",
                                          "\xf0\x9f\x98\x80",
                                          "\x1b",
                                          "\xff",
                                          "\xe4",
                                          "\t",
                                          "_",
                                          "(",
                                          "[a](b)"};
  for (int i = 0; i < 4000; ++i) {
    std::string text;
    const int n = std::uniform_int_distribution<int>(1, 60)(random);
    for (int k = 0; k < n; ++k) text += parts[std::uniform_int_distribution<size_t>(0, parts.size() - 1)(random)];
    const std::string whole = visible(render(text));
    ASSERT_EQ(visible(in_pieces(text, random)), whole) << testing::PrintToString(text);
    ASSERT_TRUE(utf8_valid(whole));
    ASSERT_EQ(terminal_safe(whole), whole);
    // Nothing but marks is lost.
    std::string letters, kept;
    for (const char c : terminal_safe(text)) {
      if (std::string_view("*`#\\ ").find(c) == std::string_view::npos) letters += c;
    }
    for (const char c : whole) {
      if (std::string_view("*`#\\ ").find(c) == std::string_view::npos) kept += c;
    }
    ASSERT_EQ(kept, letters) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace carat::cli
