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
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void on_interrupt(int) {
  if (!scope_lives.load() || flag.exchange(true)) ::_exit(kInterrupted);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

InterruptScope::InterruptScope() : outer_(scope_lives.load()) {
  flag = false;
  scope_lives = true;
}
InterruptScope::~InterruptScope() { scope_lives = outer_; }
void InterruptScope::reset() { flag = false; }
bool InterruptScope::requested() const { return flag.load(); }

}  // namespace carat::cli
