#pragma once
// Ctrl-C, and what else ends the program. By default Ctrl-C does so at once with status 130; where an answer can be stopped in an orderly way, an
// InterruptScope catches it.
#include <sys/types.h>

#include <csignal>

namespace carat::cli {

// At the start of main(): SIGINT as above; SIGPIPE and SIGXFSZ ignored, so that a reader that goes away and a limit on the
// size of files are errors like any other.
void install_signal_handlers();

// While one lives, the first Ctrl-C sets a flag; another one ends the program all the same. On one thread; they nest, and share the flag, which each clears at its start.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool requested() const;  // any thread
  void reset();            // what was requested so far has been seen to

 private:
  bool outer_;  // one lived already
};

// While one lives, what ends this program with a signal (a second Ctrl-C, SIGTERM, a terminal that hangs up) ends a group of other processes with it: theirs is
// not the terminal's, so that no signal of it reaches them. One at a time.
class GroupScope {
 public:
  explicit GroupScope(pid_t group);
  ~GroupScope();
  GroupScope(const GroupScope&) = delete;
  GroupScope& operator=(const GroupScope&) = delete;

 private:
  struct sigaction terminate_{}, hangup_{};  // as they were
};

}  // namespace carat::cli
