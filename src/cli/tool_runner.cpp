#include "cli/tool_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "cli/interrupt.h"

namespace carat::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTick{100}, kGrace{1000}, kDrain{200};

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void close() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

struct Pipe {
  Descriptor read, write;
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read.fd = ends[0];
    write.fd = ends[1];
    return true;
  }
};

std::string valid(std::string_view bytes) {
  std::string text;
  Utf8Stream stream;
  stream.push(bytes, text);
  stream.flush(text);
  return text;
}

// A program that runs, with its three pipes.
class Running {
 public:
  // 0, or the error number.
  int start(const ToolCommand& command) {
    if (!in_.open() || !out_.open() || !err_.open()) return errno;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&files, in_.read.fd, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, out_.write.fd, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, err_.write.fd, STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    // Signals that this program ignores or catches have their usual meaning in the other one.
    sigset_t usual;
    sigemptyset(&usual);
    for (const int signal : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}) sigaddset(&usual, signal);
    ::posix_spawnattr_setsigdefault(&attributes, &usual);
    // What would end this program waits until there is a group that has to end with it.
    sigset_t ending, mask;
    sigemptyset(&ending);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ending, signal);
    ::pthread_sigmask(SIG_BLOCK, &ending, &mask);
    ::posix_spawnattr_setsigmask(&attributes, &mask);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    std::vector<char*> argv;
    for (const std::string& word : command.argv) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const int error = ::posix_spawnp(&pid_, argv.front(), &files, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (error != 0) pid_ = -1;
    if (error == 0) scope_.emplace(pid_);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    in_.read.close();
    out_.write.close();
    err_.write.close();
    for (const int fd : {in_.write.fd, out_.read.fd, err_.read.fd}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return error;
  }
  // What is left of the group goes before its leader is waited for: until then no other process can get its number.
  ~Running() {
    if (pid_ <= 0) return;
    kill(SIGKILL);
    int status = 0;
    scope_.reset();  // from here on another process may get its number
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
  }
  Running() = default;
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void kill(int signal) { ::kill(-pid_, signal); }

  // Moves what can be moved, waiting for at most `timeout`. False: it has ended, and both outputs.
  bool exchange(std::string& input, ToolOutcome& outcome, std::chrono::milliseconds timeout) {
    if (input.empty()) in_.write.close();
    pollfd descriptors[3] = {{in_.write.fd, POLLOUT, 0}, {out_.read.fd, POLLIN, 0}, {err_.read.fd, POLLIN, 0}};
    const bool more = out_.read.fd >= 0 || err_.read.fd >= 0;
    if (!more && exited()) return false;
    if (::poll(descriptors, 3, static_cast<int>(timeout.count())) <= 0) return true;  // nothing, or a signal
    if (descriptors[0].revents != 0) {
      const ssize_t n = ::write(in_.write.fd, input.data(), input.size());
      if (n > 0) input.erase(0, static_cast<size_t>(n));
      if (n < 0 && errno != EAGAIN && errno != EINTR) input.clear();  // it does not read: its right
    }
    if (descriptors[1].revents != 0) take(out_.read, outcome.output, outcome.cut);
    if (descriptors[2].revents != 0) take(err_.read, outcome.error_output, outcome.cut);
    return true;
  }

  // Ended, but not yet waited for.
  bool exited() {
    if (!exited_) exited_ = ::waitid(P_PID, static_cast<id_t>(pid_), &info_, WEXITED | WNOHANG | WNOWAIT) == 0 && info_.si_pid == pid_;
    return exited_;
  }
  bool by_signal() const { return info_.si_code != CLD_EXITED; }
  int status() const { return info_.si_status; }  // or the signal

 private:
  static void take(Descriptor& from, std::string& to, bool& cut) {
    char bytes[1 << 14];
    const ssize_t n = ::read(from.fd, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      from.close();
      return;
    }
    const size_t room = kMaxToolOutput - std::min(kMaxToolOutput, to.size());
    to.append(bytes, std::min(room, static_cast<size_t>(n)));
    cut = cut || static_cast<size_t>(n) > room;
  }

  Pipe in_, out_, err_;
  pid_t pid_ = -1;
  std::optional<GroupScope> scope_;  // goes when the group has gone
  bool exited_ = false;
  siginfo_t info_{};
};

}  // namespace

ToolOutcome run_tool(const ToolCommand& command, const Json& arguments, const std::function<bool()>& cancelled) {
  ToolOutcome outcome;
  Running running;
  if (const int error = running.start(command); error != 0) {
    outcome.reason = std::strerror(error);
    return outcome;
  }
  std::string input = arguments.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const Clock::time_point deadline = Clock::now() + std::chrono::seconds(command.timeout_seconds);
  bool ended_by_us = false;
  Clock::time_point last = deadline + kGrace;  // when it is killed, or what its children still write is given up
  while (running.exchange(input, outcome, kTick)) {
    const Clock::time_point now = Clock::now();
    const bool too_long = now >= deadline, stop = cancelled && cancelled();
    if (!ended_by_us && !running.exited() && (too_long || stop)) {
      ended_by_us = true;
      outcome.end = stop ? ToolOutcome::End::cancelled : ToolOutcome::End::timeout;
      running.kill(SIGTERM);
      last = now + kGrace;
    }
    if (running.exited()) last = std::min(last, now + kDrain);
    if (now >= last) {
      running.kill(SIGKILL);
      if (running.exited()) break;
    }
  }
  if (!ended_by_us) {
    outcome.end = running.by_signal() ? ToolOutcome::End::signalled : ToolOutcome::End::exited;
    outcome.status = running.status();
  }
  outcome.output = valid(outcome.output);
  outcome.error_output = valid(outcome.error_output);
  return outcome;
}

std::string tool_result(const ToolOutcome& outcome, const ToolCommand& command) {
  Json result = Json::object();
  using End = ToolOutcome::End;
  if (outcome.end != End::not_started) result["output"] = outcome.output;
  if (outcome.cut) result["note"] = fmt::format("the output was longer than {} bytes and was cut", kMaxToolOutput);
  switch (outcome.end) {
    case End::exited: result["exit_status"] = outcome.status; break;
    case End::signalled: result["error"] = fmt::format("the program was ended by signal {}", outcome.status); break;
    case End::timeout: result["error"] = fmt::format("the program ran longer than {} seconds and was ended", command.timeout_seconds); break;
    case End::cancelled: result["error"] = "the user ended the program"; break;
    case End::not_started: result["error"] = fmt::format("the program could not be started: {}", outcome.reason); break;
  }
  const bool fine = outcome.end == End::exited && outcome.status == 0;
  if (!fine && !outcome.error_output.empty()) result["error_output"] = outcome.error_output;
  return result.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace carat::cli
