#pragma once
// Ctrl-C. By default it ends the program at once with status 130; where an answer can be stopped in an orderly way, an InterruptScope catches it.

namespace carat::cli {

// At the start of main(): SIGINT as above; SIGPIPE ignored, so that a reader that goes away is an error like any other.
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

}  // namespace carat::cli
