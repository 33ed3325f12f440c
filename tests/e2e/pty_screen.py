"""A program in a terminal of its own: keys in, screen out. The screen is pyte's, the widths are wcwidth's (./dev test installs both into .venv)."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import unittest

from program import ROOT, environment

WAIT = 60   # seconds until what has to come has not come; only a failure takes that long
PACKAGES = next((ROOT / ".venv/lib").glob("python3*/site-packages"), None)


def import_pyte():
    """pyte, from where it is; a test without it is skipped."""
    if PACKAGES and str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))
    try:
        import pyte
    except ImportError as error:
        raise unittest.SkipTest("pyte is not installed (./dev test installs it into .venv)") from error
    return pyte


class Terminal:
    """One program on one terminal. Reads what it writes only while waiting for something: no thread, no sleeping."""

    def __init__(self, *command, columns=80, rows=24, stdin=None, stdout=None, stderr=None, cwd=None, **variables):
        pyte = import_pyte()
        self.screen = pyte.HistoryScreen(columns, rows, history=5000)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""   # all that the program has written
        self.status = None   # as os.waitstatus_to_exitcode gives it
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                self._start(command, columns, rows, (stdin, stdout, stderr), cwd, variables)
            finally:
                os._exit(99)
        self.resize(columns, rows, tell=False)

    @staticmethod
    def _start(command, columns, rows, files, cwd, variables):
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        for number, file in enumerate(files):
            if file is not None:
                os.dup2(os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        if cwd:
            os.chdir(cwd)
        env = environment(TERM="xterm-256color", LANG="C.UTF-8")
        for name in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"):
            env.pop(name, None)
        env.update(variables)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(command[0], [str(part) for part in command], env)

    def resize(self, columns, rows, tell=True):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.screen.resize(rows, columns)

    def type(self, keys):
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            data = data[os.write(self.fd, data[:512]):]

    def paste(self, text):
        self.type("\x1b[200~" + text + "\x1b[201~")

    def read(self, timeout):
        """Takes in what has come, waiting for it; False: the program has closed the terminal, or nothing came."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:   # EIO: the other side is closed
            return False
        if not data:
            return False
        self.written += data
        self.stream.feed(data)
        return True

    # --- what is seen -------------------------------------------------------------------------------------------------

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def scrolled(self):
        """All lines: those that have left the screen at its top, then the screen's."""
        above = ["".join(line[column].data for column in range(self.screen.columns)).rstrip() for line in self.screen.history.top]
        return above + self.lines()

    def text(self):
        return "\n".join(self.scrolled()).rstrip()

    def cursor_line(self):
        return self.lines()[self.screen.cursor.y]

    def cell(self, text):
        """The first cell of the last place on the screen where the text stands: its looks."""
        for y in reversed(range(self.screen.lines)):
            x = self.screen.display[y].find(text)
            if x >= 0:
                return self.screen.buffer[y][x]
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text()}")

    # --- waiting ------------------------------------------------------------------------------------------------------

    def until(self, condition, what, timeout=WAIT):
        """Reads until condition(self); what comes after it stays unread."""
        deadline = time.monotonic() + timeout
        while not condition(self):
            left = deadline - time.monotonic()
            if left <= 0 or not self.read(left):
                if condition(self):
                    return
                raise AssertionError(f"{what} did not come; the screen:\n{self.text()}\n--- the end of what was written: {self.written[-300:]!r}")

    def sees(self, text, timeout=WAIT):
        self.until(lambda terminal: text in terminal.text(), repr(text), timeout)

    def sees_line(self, line, timeout=WAIT):
        """The line that the cursor stands in is this one."""
        self.until(lambda terminal: terminal.cursor_line() == line, f"the line {line!r}", timeout)

    def modes(self):
        return termios.tcgetattr(self.fd)

    def editing(self):
        """True while the program edits a line: it reads keys, not lines."""
        return not self.modes()[3] & termios.ICANON

    def ends(self, timeout=WAIT):
        """The exit status; what the program still writes is taken in."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.read(0.05):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    while self.read(0):
                        pass
                    self.status = os.waitstatus_to_exitcode(status)
                    return self.status
        raise AssertionError(f"the program did not end; the screen:\n{self.text()}")

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.status = -signal.SIGKILL
        os.close(self.fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
