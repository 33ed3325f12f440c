#include "cli/settling.h"

#include <pthread.h>

#include <csignal>
#include <system_error>

namespace carat::cli {

Settling::Settling(Engine& engine) {
  // Signals are for the thread that reads the keys.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this, &engine] {
      while (!stop_ && engine.settle()) {}
    });
  } catch (const std::system_error&) {
    // No thread to be had: nothing is made faster.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Settling::~Settling() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace carat::cli
