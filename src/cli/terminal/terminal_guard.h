#pragma once
// The terminal's modes while a line is edited: whatever ends the editing (its end, an error, a signal that kills or stops the program), they are as before.
#include <termios.h>

namespace carat::cli {

// One at a time, and only while editing: its signal handlers replace those of the program (interrupt.h) meanwhile. SIGINT from outside ends the program with 130;
// Ctrl-Z stops it and redraws when it goes on.
class TerminalGuard {
 public:
  // in_fd: the terminal that is read; out_fd: where escape sequences go (bracketed paste on, and off at the end).
  TerminalGuard(int in_fd, int out_fd);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

  // The modes that are on now are those of editing: set again when a stopped program goes on.
  void remember_editing_modes();
  // Readable when the window's size has changed or the program goes on after a stop; drain_wakes() tells whether it was.
  int wake_fd() const;
  bool drain_wakes();
};

}  // namespace carat::cli
