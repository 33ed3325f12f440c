#pragma once
// Ctrl-C. By default it ends the program at once with status 130; where an answer can be stopped in an orderly way, an InterruptScope catches it.

namespace carat::cli {

// At the start of main(): SIGINT as above; SIGPIPE ignored, so that a reader that goes away is an error like any other.
void install_signal_handlers();

// While one lives, the first Ctrl-C sets a flag; another one ends the program all the same. One at a time.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool requested() const;  // any thread
};

}  // namespace carat::cli
