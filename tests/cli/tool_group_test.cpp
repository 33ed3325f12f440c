// A tool's program does not outlive the one that started it, whichever signal ends that.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "cli/interrupt.h"
#include "cli/tool_runner.h"

namespace carat::cli {
namespace {

// What read() gives; -1 also when nothing comes for long.
ssize_t read_byte(int fd) {
  pollfd one{fd, POLLIN, 0};
  char byte = 0;
  return ::poll(&one, 1, 20000) == 1 ? ::read(fd, &byte, 1) : -1;
}

// Runs a tool in a process of its own, sends that the signals once the tool is there, and gives the wait status of that process. The tool ignores what can be
// ignored and holds the write end of a pipe: the pipe is at its end when it is gone with all its children.
int status_after(std::initializer_list<int> signals) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(ends[0]);
    install_signal_handlers();
    const InterruptScope interrupt;
    const std::string pipe = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ends[1]);
    const std::string script = "trap '' INT TERM HUP; exec 3>" + pipe + "; echo >&3; sleep 100 & sleep 100";
    run_tool({.argv = {"sh", "-c", script}}, Json::object(), [] { return false; });
    ::_exit(0);
  }
  ::close(ends[1]);
  EXPECT_EQ(read_byte(ends[0]), 1) << "the tool has begun";
  for (const int signal : signals) {
    ::kill(pid, signal);
    ::usleep(50000);  // two alike at once are one
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(read_byte(ends[0]), 0) << "it is gone";
  ::close(ends[0]);
  return status;
}

TEST(ToolGroup, EndsWithTheProgram) {
  int status = status_after({SIGHUP});
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) << status;
  status = status_after({SIGTERM});
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  status = status_after({SIGINT, SIGINT});
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << status;
}

}  // namespace
}  // namespace carat::cli
