// Tools from a file, and their programs.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>

#include "base/error.h"
#include "cli/tool_box.h"
#include "cli/tool_runner.h"

namespace carat::cli {
namespace {

// A tool that does not read its arguments must not end its caller; the program sees to that at its start.
class ToolRunner : public testing::Test {
 protected:
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }
};

using Words = std::vector<std::string>;

ToolCommand shell(const std::string& script, int timeout = 60) { return {.argv = {"/bin/sh", "-c", script}, .timeout_seconds = timeout}; }
ToolOutcome run(const std::string& script, int timeout = 60) { return run_tool(shell(script, timeout), Json{{"a", 1}}, {}); }

std::string refusal(std::string_view text) {
  try {
    ToolBox::parse(text, "tools.json");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(ToolBox, TakesTheCommandsOut) {
  const ToolBox box = ToolBox::parse(R"([
    {"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"}},"x-command":["python3","w.py"],"x-timeout":5},
    {"type":"function","function":{"name":"inside","x-command":"echo 'a b'  c"}},
    {"type":"function","function":{"name":"asked"}}])",
                                     "tools.json");
  ASSERT_EQ(box.declarations().size(), 3u);
  EXPECT_EQ(box.declarations().dump().find("x-"), std::string::npos) << "the model is not told";
  ASSERT_NE(box.command("weather"), nullptr);
  EXPECT_EQ(box.command("weather")->argv, (Words{"python3", "w.py"}));
  EXPECT_EQ(box.command("weather")->timeout_seconds, 5);
  ASSERT_NE(box.command("inside"), nullptr);
  EXPECT_EQ(box.command("inside")->argv, (Words{"echo", "a b", "c"}));
  EXPECT_EQ(box.command("asked"), nullptr);
  EXPECT_EQ(box.command("none"), nullptr);
  EXPECT_TRUE(ToolBox::parse("[]", "tools.json").empty());
}

TEST(ToolBox, RefusesAndNamesThePlace) {
  const auto tool = [](const std::string& extra) { return R"([{"type":"function","function":{"name":"t"},)" + extra + "}]"; };
  for (const char* extra : {R"("x-command":7)", R"("x-command":[])", R"("x-command":[""])", R"("x-command":[1])", R"("x-command":"")", R"("x-command":"'open")",
                            R"("x-command":["a\u0000b"])"}) {
    EXPECT_NE(refusal(tool(extra)).find("tools.json[0].x-command"), std::string::npos) << extra << ": " << refusal(tool(extra));
  }
  for (const char* extra : {R"("x-command":"ls","x-timeout":0)", R"("x-command":"ls","x-timeout":1.5)", R"("x-command":"ls","x-timeout":"9")",
                            R"("x-command":"ls","x-timeout":1e9)"}) {
    EXPECT_NE(refusal(tool(extra)).find("tools.json[0].x-timeout"), std::string::npos) << extra;
  }
  for (const char* text : {"", "{", "7", R"([{"type":"function"}])", R"([7])"}) EXPECT_NE(refusal(text), "") << text;
}

TEST(ToolBox, CutsWordsAsAShellWouldAndDoesNoMore) {
  EXPECT_EQ(command_words(R"(a "b c" 'd "e' f\ g h"i"j)", "x"), (Words{"a", "b c", "d \"e", "f g", "hij"}));
  EXPECT_EQ(command_words("echo $HOME * `id` ; rm -rf /", "x"), (Words{"echo", "$HOME", "*", "`id`", ";", "rm", "-rf", "/"}));
  EXPECT_EQ(command_words("a '' b", "x"), (Words{"a", "", "b"}));
}

TEST_F(ToolRunner, GivesArgumentsAndTakesOutput) {
  const ToolOutcome outcome = run("cat; echo problem >&2");
  EXPECT_EQ(outcome.end, ToolOutcome::End::exited);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.output, "{\"a\":1}\n");
  EXPECT_EQ(outcome.error_output, "problem\n");
  EXPECT_EQ(tool_result(outcome, shell("")), R"({"output":"{\"a\":1}\n","exit_status":0})");
}

TEST_F(ToolRunner, ReportsWhatWentWrong) {
  const ToolOutcome failed = run("echo out; echo why >&2; exit 3");
  EXPECT_EQ(tool_result(failed, shell("")), R"({"output":"out\n","exit_status":3,"error_output":"why\n"})");
  const ToolOutcome killed = run("kill -9 $$");
  EXPECT_EQ(killed.end, ToolOutcome::End::signalled);
  EXPECT_EQ(killed.status, SIGKILL);
  const ToolCommand nowhere{.argv = {"/no/such/program"}};
  const ToolOutcome missing = run_tool(nowhere, Json::object(), {});
  EXPECT_EQ(missing.end, ToolOutcome::End::not_started);
  EXPECT_EQ(tool_result(missing, nowhere), R"({"error":"the program could not be started: No such file or directory"})");
}

TEST_F(ToolRunner, EndsWhatRunsTooLong) {
  const auto start = std::chrono::steady_clock::now();
  const ToolOutcome outcome = run("trap '' TERM; echo begun; sleep 100 & wait; sleep 100", 1);
  EXPECT_EQ(outcome.end, ToolOutcome::End::timeout);
  EXPECT_EQ(outcome.output, "begun\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_EQ(tool_result(outcome, shell("", 1)), R"({"output":"begun\n","error":"the program ran longer than 1 seconds and was ended"})");
}

TEST_F(ToolRunner, EndsWhenTold) {
  int asked = 0;
  const ToolOutcome outcome = run_tool(shell("sleep 100"), Json::object(), [&] { return ++asked > 1; });
  EXPECT_EQ(outcome.end, ToolOutcome::End::cancelled);
}

TEST_F(ToolRunner, LeavesNothingRunning) {
  // The child stays when its parent ends; it holds the output open, and would write there for ever.
  const ToolOutcome outcome = run("sleep 1000 & echo $!");
  EXPECT_EQ(outcome.end, ToolOutcome::End::exited);
  const pid_t child = std::stoi(outcome.output);
  for (int i = 0; i < 500 && ::kill(child, 0) == 0; ++i) {
    // Dead, but whoever adopts orphans may not have looked yet.
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    if (text.find(") Z ") != std::string::npos) return;
    ::usleep(10000);
  }
  EXPECT_NE(::kill(child, 0), 0);
}

TEST_F(ToolRunner, CutsEndlessOutput) {
  const ToolOutcome outcome = run("yes | head -c 1000000; echo end >&2");
  EXPECT_EQ(outcome.end, ToolOutcome::End::exited) << "it was read to its end";
  EXPECT_EQ(outcome.output.size(), kMaxToolOutput);
  EXPECT_TRUE(outcome.cut);
  EXPECT_NE(tool_result(outcome, shell("")).find("was cut"), std::string::npos);
}

TEST_F(ToolRunner, SurvivesProgramsThatDoNotRead) {
  Json arguments = {{"text", std::string(1 << 20, 'x')}};
  EXPECT_EQ(run_tool(shell("exit 0"), arguments, {}).status, 0);
  EXPECT_EQ(run_tool(shell("exec <&-; sleep 0.1; exit 4"), arguments, {}).status, 4);
  EXPECT_EQ(run_tool(shell("wc -c | tr -d ' '"), arguments, {}).output, std::to_string(arguments.dump().size() + 1) + "\n");
}

TEST_F(ToolRunner, GivesValidText) {
  EXPECT_EQ(run("printf 'a\\377b'").output,
            "a\xef\xbf\xbd"
            "b");
}

TEST_F(ToolRunner, InheritsNoFiles) {
  const ToolOutcome outcome = run("ls /proc/self/fd | wc -l");
  EXPECT_LE(std::stoi(outcome.output), 4) << "three files, and the one that ls reads";
}

}  // namespace
}  // namespace carat::cli
