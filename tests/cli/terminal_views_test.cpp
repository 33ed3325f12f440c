// What appears on a terminal: the status line, thoughts, answers, the question before a tool runs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "cli/console.h"
#include "cli/in_terminal.h"
#include "cli/terminal/answer_view.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/thinking_view.h"
#include "cli/tool_dialogue.h"

namespace carat::cli {
namespace {

void wait_a_tick() { ::usleep(110000); }  // the status line is drawn at most ten times a second

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(TerminalViews, TheBarGoesWhenItIsDone) {
  const TerminalRun run = in_terminal([] {
    Progress progress("loading");
    progress.show(1, 100);
    wait_a_tick();
    for (int i = 2; i <= 50; ++i) progress.show(static_cast<uint64_t>(i), 100);
  });
  EXPECT_TRUE(contains(run.written, "\rloading ["));
  EXPECT_EQ(run.written.find("2 %"), run.written.rfind("2 %")) << "fifty calls within a tick are one line";
  EXPECT_TRUE(run.written.ends_with("\r\x1b[K")) << testing::PrintToString(run.written);
}

TEST(TerminalViews, WhatIsQuickShowsNothing) {
  const TerminalRun run = in_terminal([] {
    Progress progress("loading");
    progress.show(50, 100);
  });
  EXPECT_EQ(run.written, "");
}

TEST(TerminalViews, AThoughtIsALineAndThenASummary) {
  const auto think = [] {
    ThinkingView view(ThinkingView::Mode::folded);
    view.text("first words\n");
    wait_a_tick();
    view.text("and \x1b[2J the last ones");
    view.tokens(7);
    view.end();
    view.end();
  };
  const TerminalRun run = in_terminal(think);
  EXPECT_TRUE(contains(run.written, "thinking 0.1 s, 0 tokens: first words and \\x1b[2J the last ones")) << run.written;
  EXPECT_TRUE(contains(run.written, "\r\x1b[K\x1b[2mthought for 0.1 s, 7 tokens (/think show)\x1b[0m\r\n")) << testing::PrintToString(run.written);
  EXPECT_EQ(run.written.find("thought for"), run.written.rfind("thought for"));
  const TerminalRun narrow = in_terminal(think, {}, 40);
  EXPECT_TRUE(contains(narrow.written, "thinking 0.1 s, 0 tokens: the last ones")) << testing::PrintToString(narrow.written);
  const TerminalRun dumb = in_terminal(think, {}, 80, "dumb");
  EXPECT_FALSE(contains(dumb.written, "\x1b"));
  EXPECT_TRUE(dumb.written.starts_with("thinking ...\r\nthought for 0.1 s, 7 tokens")) << dumb.written;
}

TEST(TerminalViews, AThoughtCanBeShown) {
  const TerminalRun run = in_terminal(
      [] {
        ThinkingView view(ThinkingView::Mode::shown);
        view.text("one\ntw");
        view.text("o");
        view.end();
      },
      {}, 80, "dumb");
  EXPECT_EQ(run.written, "thinking:\r\n  one\r\n  two\r\nthought for 0.0 s, 0 tokens\r\n");
}

TEST(TerminalViews, AnAnswerIsRenderedOnATerminalOnly) {
  const auto answer = [] {
    AnswerView view({});
    view.reasoning("hm");
    view.content("**bo");
    view.content("ld** \x1b[2J");
    view.tool_call({.id = "1", .name = "weather", .arguments = Json{{"city", "Paris\n"}, {"days", 3}}});
    view.end();
  };
  const TerminalRun run = in_terminal(answer);
  EXPECT_TRUE(contains(run.written, "\x1b[1mbold\x1b[0m \\x1b[2J\r\n")) << testing::PrintToString(run.written);
  EXPECT_TRUE(contains(run.written, R"(weather(city="Paris\n", days=3))")) << run.written;
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("carat-view-" + std::to_string(::getpid()));
  in_terminal([&] {
    if (std::freopen(file.c_str(), "w", stdout) == nullptr) ::_exit(1);
    answer();
  });
  EXPECT_EQ(read_input(file.string()), "**bold** \x1b[2J\n") << "as it is, and nothing else";
  std::filesystem::remove(file);
}

TEST(TerminalViews, CallsAreCutAndSafe) {
  const ToolCall call{.id = "", .name = "t", .arguments = Json{{"x", "\xe4\xb8\xad\x1b[2J"}}};
  EXPECT_EQ(readable_call(call, 100), "t(x=\"\xe4\xb8\xad\\u001b[2J\")");
  EXPECT_EQ(readable_call(call, 7), "t(x=\"... (14 bytes more)") << "that it is cut is told";
  const ToolCall turned{.id = "", .name = "t", .arguments = Json{{"x", "a\u202eb\u2066c\u200f"}}};
  EXPECT_EQ(readable_call(turned, 100), "t(x=\"a\\u202eb\\u2066c\u200f\")") << "no call looks like another one";
  EXPECT_EQ(readable_call({.id = "", .name = "t", .arguments = "no object"}, 100), "t(\"no object\")");
}

constexpr const char* kTools = R"([{"type":"function","function":{"name":"count"},"x-command":["wc","-c"]},{"type":"function","function":{"name":"asked"}}])";

// Two calls of a tool, and what the model is told.
TerminalRun two_calls(const std::string& name, const std::vector<std::pair<std::string, std::string>>& keys) {
  return in_terminal(
      [&] {
        LineEditor editor({});
        ToolDialogue dialogue(ToolBox::parse(kTools, "tools"), editor);
        for (int i = 0; i < 2; ++i) {
          const ToolDialogue::Outcome outcome = dialogue.see_to({.id = "1", .name = name, .arguments = Json{{"a", i}}});
          std::printf("=> %s%s\n", outcome.result.c_str(), outcome.stopped ? " stopped" : "");
          std::fflush(stdout);
        }
      },
      keys);
}

TEST(ToolDialogue, RunsAfterAYesOnly) {
  const std::string asks = "[y/N/always]", ran = R"(=> {"output":"8\n","exit_status":0})", refused = R"(=> {"error":"the user did not allow this call"})";
  const std::string yes_no = two_calls("count", {{asks, "y\r"}, {"=> ", ""}, {asks, "\r"}}).written;
  EXPECT_TRUE(contains(yes_no, "runs: wc -c")) << yes_no;
  EXPECT_LT(yes_no.find(ran), yes_no.find(refused)) << yes_no;
  const std::string always = two_calls("count", {{asks, "always\r"}}).written;
  EXPECT_NE(always.find(ran), always.rfind(ran)) << always;
  const std::string no = two_calls("count", {{asks, "n\r"}, {"=> ", ""}, {asks, "no thanks\r"}}).written;
  EXPECT_FALSE(contains(no, "\"output\"")) << no;
  const std::string interrupted = two_calls("count", {{asks, "y\x03"}, {"=> ", ""}, {asks, "\x04"}}).written;
  EXPECT_FALSE(contains(interrupted, "\"output\"")) << interrupted;
  EXPECT_TRUE(contains(interrupted, refused + " stopped"));
}

TEST(ToolDialogue, TakesAResultWhereThereIsNoProgram) {
  const std::string typed = two_calls("asked", {{"result:", "it is 7\r"}, {"=> ", ""}, {"result:", "\r"}}).written;
  EXPECT_TRUE(contains(typed, "=> it is 7")) << typed;
  EXPECT_TRUE(contains(typed, R"(=> {"error":"there is no result"})")) << typed;
}

TEST(ToolDialogue, RunsNothingWhereNobodyCanBeAsked) {
  const TerminalRun run = in_terminal([] {
    if (std::freopen("/dev/null", "r", stdin) == nullptr) ::_exit(1);
    LineEditor editor({});
    ToolDialogue dialogue(ToolBox::parse(kTools, "tools"), editor);
    std::printf("=> %s\n", dialogue.see_to({.id = "1", .name = "count", .arguments = Json::object()}).result.c_str());
  });
  EXPECT_TRUE(contains(run.written, "not run: there is nobody to ask")) << run.written;
  EXPECT_TRUE(contains(run.written, R"(=> {"error":"the user did not allow this call"})")) << run.written;
}

}  // namespace
}  // namespace carat::cli
