#include "cli/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace carat::cli {
namespace {

constexpr int kInterrupted = 130;
// What a signal handler may touch: lock-free atomics.
std::atomic<bool> scope_lives{false};
std::atomic<bool> flag{false};
std::atomic<pid_t> group_to_end{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free);

void end_group() {
  if (const pid_t group = group_to_end.load(); group > 0) ::kill(-group, SIGKILL);
}

extern "C" void on_interrupt(int) {
  if (scope_lives.load() && !flag.exchange(true)) return;
  end_group();
  ::_exit(kInterrupted);
}

extern "C" void on_end(int signal) {
  end_group();
  std::signal(signal, SIG_DFL);
  ::raise(signal);  // taken when this handler returns
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

InterruptScope::InterruptScope() : outer_(scope_lives.load()) {
  flag = false;
  scope_lives = true;
}
InterruptScope::~InterruptScope() { scope_lives = outer_; }
void InterruptScope::reset() { flag = false; }
bool InterruptScope::requested() const { return flag.load(); }

GroupScope::GroupScope(pid_t group) {
  group_to_end = group;
  struct sigaction action{};
  action.sa_handler = on_end;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, &terminate_);
  ::sigaction(SIGHUP, &action, &hangup_);
  // Who started this program with one of them ignored wants it to outlive it.
  if (terminate_.sa_handler == SIG_IGN) ::sigaction(SIGTERM, &terminate_, nullptr);
  if (hangup_.sa_handler == SIG_IGN) ::sigaction(SIGHUP, &hangup_, nullptr);
}
GroupScope::~GroupScope() {
  ::sigaction(SIGTERM, &terminate_, nullptr);
  ::sigaction(SIGHUP, &hangup_, nullptr);
  group_to_end = 0;
}

}  // namespace carat::cli
