#include "cli/terminal/terminal_guard.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string_view>

namespace carat::cli {
namespace {

constexpr int kInterrupted = 130;
constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l";
// Ends: what kills. A crash restores too: a terminal without echo hides its message.
constexpr std::array kDeadly = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
constexpr std::array kWaking = {SIGWINCH, SIGCONT};

// What the handlers touch. Written while no handler is installed, or before the flag that guards it is set.
struct State {
  int in_fd = -1, out_fd = -1;
  int wake_read = -1, wake_write = -1;
  termios before{}, editing{};
  bool has_before = false;
  std::atomic<bool> has_editing{false};
  std::array<struct sigaction, kDeadly.size()> old_deadly{};
  std::array<struct sigaction, kWaking.size()> old_waking{};
  struct sigaction old_stop{};
};
State state;

void write_all(std::string_view text) {
  // A terminal that takes nothing any more cannot be helped.
  static_cast<void>(!::write(state.out_fd, text.data(), text.size()));
}

void restore() {
  if (state.has_before) ::tcsetattr(state.in_fd, TCSANOW, &state.before);
  write_all(kPasteOff);
}

void set_handler(int signal, void (*handler)(int), struct sigaction* old) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, old);
}

extern "C" void on_deadly(int signal) {
  restore();
  if (signal == SIGINT) ::_exit(kInterrupted);
  set_handler(signal, SIG_DFL, nullptr);
  ::raise(signal);  // taken when this handler returns
}

void edit_again() {
  if (state.has_editing.load()) {
    ::tcsetattr(state.in_fd, TCSANOW, &state.editing);
    write_all(kPasteOn);
  }
  static_cast<void>(!::write(state.wake_write, "", 1));
}

extern "C" void on_wake(int signal) {
  const int error = errno;
  if (signal == SIGCONT) {
    edit_again();
  } else {
    static_cast<void>(!::write(state.wake_write, "", 1));
  }
  errno = error;
}

extern "C" void on_stop(int signal) {
  const int error = errno;
  restore();
  set_handler(signal, SIG_DFL, nullptr);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);  // here it stops
  set_handler(signal, on_stop, nullptr);
  edit_again();  // where there is no shell to go back to it did not stop, and no SIGCONT comes
  errno = error;
}

}  // namespace

TerminalGuard::TerminalGuard(int in_fd, int out_fd) {
  state.in_fd = in_fd;
  state.out_fd = out_fd;
  state.has_before = ::tcgetattr(in_fd, &state.before) == 0;
  state.has_editing = false;
  if (state.wake_read < 0) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
      state.wake_read = ends[0];
      state.wake_write = ends[1];
    }
  }
  for (size_t i = 0; i < kDeadly.size(); ++i) set_handler(kDeadly[i], on_deadly, &state.old_deadly[i]);
  for (size_t i = 0; i < kWaking.size(); ++i) set_handler(kWaking[i], on_wake, &state.old_waking[i]);
  set_handler(SIGTSTP, on_stop, &state.old_stop);
  write_all(kPasteOn);
}

TerminalGuard::~TerminalGuard() {
  state.has_editing = false;
  if (state.has_before) ::tcsetattr(state.in_fd, TCSADRAIN, &state.before);
  write_all(kPasteOff);
  for (size_t i = 0; i < kDeadly.size(); ++i) ::sigaction(kDeadly[i], &state.old_deadly[i], nullptr);
  for (size_t i = 0; i < kWaking.size(); ++i) ::sigaction(kWaking[i], &state.old_waking[i], nullptr);
  ::sigaction(SIGTSTP, &state.old_stop, nullptr);
}

void TerminalGuard::remember_editing_modes() {
  if (state.has_editing.load()) return;
  state.has_editing = ::tcgetattr(state.in_fd, &state.editing) == 0;
}

int TerminalGuard::wake_fd() const { return state.wake_read; }

bool TerminalGuard::drain_wakes() {
  char bytes[64];
  bool any = false;
  while (state.wake_read >= 0 && ::read(state.wake_read, bytes, sizeof bytes) > 0) any = true;
  return any;
}

}  // namespace carat::cli
