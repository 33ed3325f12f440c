#pragma once
// A function in a process of its own, on a terminal of its own: what it writes, and what is typed when something has appeared.
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace carat::cli {

struct TerminalRun {
  std::string written;
  int status = -1;  // exit status, or 128 + signal
};

// For each pair: when `first` has been written (after what the pair before waited for), `second` is typed. TERM and the columns are as given.
inline TerminalRun in_terminal(const std::function<void()>& work, const std::vector<std::pair<std::string, std::string>>& keys = {},
                               unsigned short columns = 80, const char* term = "xterm-256color") {
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  int fd = -1;
  const pid_t pid = ::forkpty(&fd, nullptr, nullptr, &size);
  if (pid == 0) {
    ::setenv("TERM", term, 1);
    for (const char* name : {"NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"}) ::unsetenv(name);
    ::alarm(60);  // nothing may hang
    work();
    std::fflush(nullptr);
    ::_exit(0);
  }
  TerminalRun run;
  size_t next = 0, seen = 0;
  for (;;) {
    while (next < keys.size()) {
      const size_t at = run.written.find(keys[next].first, seen);
      if (at == std::string::npos) break;
      seen = at + keys[next].first.size();
      if (::write(fd, keys[next].second.data(), keys[next].second.size()) < 0) break;
      ++next;
    }
    char bytes[4096];
    const ssize_t n = ::read(fd, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // EIO: the other side is closed
    run.written.append(bytes, static_cast<size_t>(n));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  ::close(fd);
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

}  // namespace carat::cli
