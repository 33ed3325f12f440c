"""The chat of carat run in a terminal: keys in, screen out. Weights are random, so answers mean nothing; at temperature 0 they are always the same."""
import json
import os
import re
import signal
import stat
import tempfile
import unittest
from pathlib import Path

from program import PROGRAM, TINY_E2B, ProgramTest, real_model
from pty_screen import Terminal, import_pyte

PROMPT = ">>>"
CTRL_C, CTRL_D, CTRL_R, CTRL_Z, TAB, ENTER, UP, DOWN, LEFT, BACKSPACE = "\x03", "\x04", "\x12", "\x1a", "\t", "\r", "\x1b[A", "\x1b[B", "\x1b[D", "\x7f"
ALT_ENTER = "\x1b\r"
SHORT = ("--temperature", "0", "-n", "12", "--ctx", "1024")
ENDLESS = ("--temperature", "0", "--ignore-eos", "--ctx", "4096")


def setUpModule():
    import_pyte()


class TerminalTest(ProgramTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)

    def terminal(self, *command, **options):
        terminal = Terminal(*command, **{"HOME": str(self.home), "CARAT_HOME": str(self.home / "carat"), "cwd": self.home, **options})
        self.addCleanup(terminal.close)
        return terminal

    def chat(self, *arguments, model=TINY_E2B, **options):
        """At its first prompt."""
        terminal = self.terminal(PROGRAM, "run", model, "--chat-template", "builtin", *(arguments or SHORT), **options)
        terminal.sees_line(PROMPT)
        return terminal

    def ask(self, terminal, text):
        """The whole of a question and its answer: up to the next prompt."""
        prompts = terminal.text().count(PROMPT)
        terminal.type(text + ENTER)
        terminal.until(lambda t: t.text().count(PROMPT) > prompts and t.cursor_line() == PROMPT, f"the prompt after {text!r}")

    def messages(self, terminal):
        """The conversation so far, by way of /save."""
        path = self.home / "saved.json"
        path.unlink(missing_ok=True)
        self.ask(terminal, f"/save {path}")
        return json.loads(path.read_text())["messages"]

    def questions(self, terminal):
        return [message["content"] for message in self.messages(terminal) if message["role"] == "user"]

    def bye(self, terminal):
        terminal.type("/bye" + ENTER)
        self.assertEqual(terminal.ends(), 0)


class Talking(TerminalTest):
    def test_answers_are_the_same_at_any_width(self):
        answers = []
        for columns in (80, 40):
            terminal = self.chat(columns=columns)
            self.assertIn("context 1024 tokens", terminal.text())
            self.ask(terminal, "hello")
            self.ask(terminal, "and more")
            messages = self.messages(terminal)
            self.assertEqual([message["role"] for message in messages], ["user", "assistant", "user", "assistant"])
            answers.append([message["content"] for message in messages])
            self.assertTrue(all(len(line) <= columns for line in terminal.lines()))
            self.bye(terminal)
        self.assertEqual(answers[0], answers[1])

    def test_characters_of_all_widths_are_edited(self):
        for columns in (80, 40, 20):
            terminal = self.chat(columns=columns)
            text = "a\u00e9中文😀e\u0301x" * 3   # wraps at 20 columns
            terminal.type(text)
            terminal.until(lambda t: t.screen.cursor.x == (4 + 30) % columns, "the cursor after what was typed")
            terminal.type(BACKSPACE)               # x
            terminal.type(BACKSPACE)               # e with its accent, as one
            terminal.type(LEFT + BACKSPACE + "字")   # 文 before the 😀
            terminal.type(ENTER)
            terminal.until(lambda t: t.text().count(PROMPT) == 2 and t.cursor_line() == PROMPT, "the answer")
            self.assertEqual(self.questions(terminal), [text[:-5] + "字😀"])
            self.bye(terminal)

    def test_the_line_on_the_screen_is_the_line(self):
        terminal = self.chat(columns=40)
        terminal.type("中文e\u0301😀!" + LEFT * 2 + BACKSPACE)
        terminal.sees_line(PROMPT + " 中文😀!")
        self.assertEqual(terminal.screen.cursor.x, 4 + 4)
        terminal.type("\x01" + "「" + "\x05" + "」")   # to the start, to the end
        terminal.sees_line(PROMPT + " 「中文😀!」")
        terminal.type("\x15")                         # all of it
        terminal.sees_line(PROMPT)
        terminal.type("\u0301")                        # a mark without a letter: shown, and taken back as one
        terminal.sees_line(PROMPT + " \u25cc\u0301")
        terminal.type(BACKSPACE)
        terminal.sees_line(PROMPT)
        self.bye(terminal)

    def test_what_is_typed_during_an_answer_comes_next(self):
        terminal = self.chat()
        terminal.type("one" + ENTER + "two" + ENTER)
        terminal.until(lambda t: t.text().count(PROMPT) == 3 and t.cursor_line() == PROMPT, "both answers")
        self.assertEqual(self.questions(terminal), ["one", "two"])
        self.bye(terminal)

    def test_retry_clear_and_figures(self):
        terminal = self.chat()
        self.ask(terminal, "hello")
        first = self.messages(terminal)
        self.ask(terminal, "/retry")
        self.assertEqual(self.messages(terminal), first, "temperature 0 gives the same again")
        self.ask(terminal, "/stats")
        self.assertRegex(terminal.text(), r"answer 12 tokens, [\d.]+ tokens/s")
        self.ask(terminal, "/clear")
        self.assertEqual(self.messages(terminal), [])
        self.ask(terminal, "/retry")
        terminal.sees("no question to ask again")
        self.ask(terminal, "/system Be brief.")
        self.ask(terminal, "hello")
        self.assertEqual(self.messages(terminal)[0], {"role": "system", "content": "Be brief."})
        self.ask(terminal, "/system -")
        self.assertEqual(self.messages(terminal)[0]["role"], "user")
        self.bye(terminal)

    def test_a_full_context_is_told_and_nothing_is_dropped(self):
        terminal = self.chat("--temperature", "0", "-n", "30", "--ctx", "128")
        seen = lambda words: words in " ".join(terminal.text().split())   # lines are wrapped
        for words in range(20, 120, 3):
            self.ask(terminal, "/clear")
            self.ask(terminal, "word " * words)
            if seen("the context is full"):
                break
        self.assertTrue(seen("the context is full (128 of 128 tokens)"))
        before = self.messages(terminal)
        self.assertEqual(len(before), 2)
        self.ask(terminal, "one more question, which cannot be read any more")
        self.assertTrue(seen("carat: error: "))
        self.assertTrue(seen("the question was taken back"))
        self.assertEqual(self.messages(terminal), before)
        self.ask(terminal, "/clear")
        self.ask(terminal, "hello")
        self.assertEqual(len(self.messages(terminal)), 2)
        self.bye(terminal)

    def test_a_model_without_a_chat_format_continues_text(self):
        arguments = ("run", real_model(), "--temperature", "0", "-n", "6", "--ctx", "256")
        expected = self.ok(*arguments, "The capital of France is").decode().strip()
        terminal = self.terminal(PROGRAM, *arguments)
        terminal.sees_line(PROMPT)
        self.ask(terminal, "The capital of France is")
        self.assertIn(expected, terminal.text())
        self.ask(terminal, "/save x")
        self.assertIn("needs a model with a chat format", terminal.text())
        self.bye(terminal)


class Stopping(TerminalTest):
    def test_ctrl_c_stops_the_answer_only(self):
        terminal = self.chat(*ENDLESS)
        terminal.type("go on" + ENTER)
        terminal.until(lambda t: b"go on" in t.written and len(t.written.split(b"go on")[-1]) > 200, "a part of the answer")
        terminal.type(CTRL_C)
        terminal.sees("(stopped)")
        terminal.sees_line(PROMPT)
        messages = self.messages(terminal)
        self.assertEqual([message["role"] for message in messages], ["user", "assistant"])
        self.assertGreater(len(messages[1]["content"]), 20, "what there was of it stays")
        terminal.type("again" + ENTER + CTRL_C)   # before its first token
        terminal.until(lambda t: t.text().count("(stopped)") == 2 and t.cursor_line() == PROMPT, "the second stop")
        self.assertEqual(self.questions(terminal), ["go on", "again"])
        self.bye(terminal)

    def test_ctrl_c_at_the_prompt(self):
        terminal = self.chat()
        terminal.type("never sent" + CTRL_C)
        terminal.until(lambda t: "never sent^C" in t.text() and t.cursor_line() == PROMPT, "an empty line")
        terminal.type(CTRL_C)
        terminal.sees("Ctrl-C again, Ctrl-D or /bye ends")
        self.ask(terminal, "hello")
        self.assertEqual(self.questions(terminal), ["hello"])
        terminal.type(CTRL_C)
        terminal.until(lambda t: t.text().count("Ctrl-C again") == 2, "the hint")
        terminal.type(CTRL_C)
        self.assertEqual(terminal.ends(), 0)

    def test_ctrl_d_ends_on_an_empty_line_only(self):
        terminal = self.chat()
        terminal.type("ab" + LEFT + CTRL_D)
        terminal.sees_line(PROMPT + " a")
        terminal.type(BACKSPACE + CTRL_D)
        self.assertEqual(terminal.ends(), 0)

    def test_the_terminal_is_restored(self):
        def by(end):
            terminal = self.terminal(PROGRAM, "run", TINY_E2B, "--chat-template", "builtin", *SHORT)
            before = terminal.modes()
            terminal.sees_line(PROMPT)
            self.assertTrue(terminal.editing())
            end(terminal)
            status = terminal.ends()
            self.assertEqual(terminal.modes(), before)
            self.assertEqual(terminal.written.count(b"\x1b[?2004h"), terminal.written.count(b"\x1b[?2004l"))
            return status

        self.assertEqual(by(lambda t: t.type(CTRL_D)), 0)
        self.assertEqual(by(lambda t: os.kill(t.pid, signal.SIGTERM)), -signal.SIGTERM)
        self.assertEqual(by(lambda t: os.kill(t.pid, signal.SIGINT)), 130)
        self.assertEqual(by(lambda t: os.kill(t.pid, signal.SIGABRT)), -signal.SIGABRT)

    def test_ctrl_z_and_back(self):
        shell = self.terminal("/bin/bash", "--norc", "--noprofile", "-i", PS1="$ ")
        shell.sees_line("$")
        shell.type(f"{PROGRAM} run {TINY_E2B} --chat-template builtin {' '.join(SHORT)}" + ENTER)
        shell.sees_line(PROMPT)
        shell.type("kept" + CTRL_Z)
        shell.until(lambda t: "Stopped" in t.text() and t.cursor_line() == "$", "the shell")
        shell.type("echo a line" + ENTER)
        shell.sees("\na line")
        shell.type("fg" + ENTER)
        shell.sees_line(PROMPT + " kept")
        shell.type("!" + ENTER)
        shell.sees_line(PROMPT)
        self.assertEqual(self.questions(shell), ["kept!"])
        shell.type("/bye" + ENTER)
        shell.sees_line("$")
        shell.type("exit" + ENTER)
        self.assertEqual(shell.ends(), 0)

    def test_another_width_while_editing(self):
        terminal = self.chat()
        terminal.type("x" * 50)
        terminal.sees_line(PROMPT + " " + "x" * 50)
        terminal.resize(40, 24)
        terminal.until(lambda t: t.cursor_line() == "x" * 14, "the line in two")
        terminal.type("y" + ENTER)
        terminal.sees_line(PROMPT)
        self.assertEqual(self.questions(terminal), ["x" * 50 + "y"])
        self.bye(terminal)


class Editing(TerminalTest):
    def test_history_across_runs(self):
        terminal = self.chat()
        for question in ("first", "two 中文 e\u0301", " not kept", "first"):
            self.ask(terminal, question)
        self.bye(terminal)
        path = self.home / "carat/history"
        self.assertEqual(path.read_text(), "two 中文 e\u0301\nfirst\n/bye\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

        terminal = self.chat(columns=40)
        terminal.type("draft" + UP)
        terminal.sees_line(PROMPT + " /bye")
        terminal.type(UP + UP)
        terminal.sees_line(PROMPT + " two 中文 é")   # pyte composes
        terminal.type(BACKSPACE)
        terminal.sees_line(PROMPT + " two 中文")
        terminal.type(DOWN + DOWN + DOWN)
        terminal.sees_line(PROMPT + " draft")
        terminal.type(CTRL_C + CTRL_R + "fir")
        terminal.sees("bck")
        terminal.type(ENTER)
        terminal.until(lambda t: t.text().count(PROMPT) == 3 and t.cursor_line() == PROMPT, "the answer")
        self.assertEqual(self.questions(terminal), ["first"])
        self.bye(terminal)

    def test_messages_of_several_lines(self):
        terminal = self.chat()
        terminal.type('"""' + ENTER + "a" + ENTER + ENTER + "b" + ENTER + '"""')
        terminal.sees_line('"""')
        terminal.type(UP * 3 + "A" + DOWN)
        terminal.until(lambda t: t.lines()[t.screen.cursor.y - 1] == "Aa", "the cursor below the first line of text")
        self.ask(terminal, "")
        self.ask(terminal, "c \\" + ENTER + "d")
        self.ask(terminal, "e" + ALT_ENTER + "f")
        self.assertEqual(self.questions(terminal), ["Aa\n\nb", "c \nd", "e\nf"])
        terminal.type(UP + UP)                        # /save, and then e f as it was
        terminal.sees_line("f")
        terminal.type("!")
        self.ask(terminal, "")
        self.assertEqual(self.questions(terminal)[-1], "e\nf!")
        self.bye(terminal)

    def test_pasted_text_is_one_message(self):
        for columns in (80, 40):
            terminal = self.chat(columns=columns)
            terminal.type("see: ")
            terminal.paste("one\r\ttwo 中文 e\u0301\r\rfour\x07\r")
            terminal.sees("four")
            terminal.type(" end" + ENTER)
            terminal.sees_line(PROMPT)
            many = "\n".join(f"line {i}" for i in range(100))   # longer than the screen
            terminal.paste(many.replace("\n", "\r"))
            terminal.sees("line 99")
            terminal.type(ENTER)
            terminal.until(lambda t: t.cursor_line() == PROMPT and "line 99" in t.text(), "the prompt")
            self.assertEqual(self.questions(terminal), ["see: one\n\ttwo 中文 e\u0301\n\nfour end", many])
            self.bye(terminal)

    def test_completion(self):
        (self.home / "talks").mkdir()
        for name in ("talks/one.json", "talks/only é.json", "talks/other.json"):
            (self.home / name).write_text('{"messages":[{"role":"user","content":"from a file"}]}')
        terminal = self.chat(columns=40)
        terminal.type("/lo" + TAB)
        terminal.sees_line(PROMPT + " /load")
        terminal.type("ta" + TAB)
        terminal.sees_line(PROMPT + " /load talks/")
        terminal.type("o" + TAB)
        terminal.until(lambda t: "one.json     only é.json" in t.text() and t.cursor_line() == PROMPT + " /load talks/o", "the candidates")
        terminal.type("nl" + TAB)
        terminal.sees_line(PROMPT + " /load talks/only é.json")
        self.ask(terminal, "")
        self.assertEqual(self.questions(terminal), ["from a file"])
        terminal.type("/s" + TAB)
        terminal.until(lambda t: "/save    /stats   /system" in t.text() and t.cursor_line() == PROMPT + " /s", "the commands")
        terminal.type("t" + TAB)
        terminal.sees_line(PROMPT + " /stats")
        terminal.type(CTRL_C + "/think o" + TAB + "f" + TAB + ENTER)
        terminal.sees("thinking: off")
        self.bye(terminal)


class Commands(TerminalTest):
    def test_save_and_load(self):
        terminal = self.chat()
        self.ask(terminal, "/system Be brief.")
        self.ask(terminal, "hello")
        saved = self.messages(terminal)
        path = self.home / "saved.json"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(json.loads((self.home / "carat/conversations/last.json").read_text())["messages"], saved)
        self.bye(terminal)

        terminal = self.chat()
        self.ask(terminal, "/load")   # of the last run
        self.assertEqual(self.messages(terminal), saved)
        self.ask(terminal, "/clear")
        self.ask(terminal, f"/load {path}")
        terminal.sees("the last question was: hello")
        self.ask(terminal, "more")
        self.assertEqual(self.messages(terminal)[:3], saved)
        self.assertEqual(len(self.messages(terminal)), 5)
        self.bye(terminal)

    def test_what_cannot_be_saved_or_loaded_is_told(self):
        (self.home / "notes.txt").write_text("precious")
        (self.home / "broken.json").write_text('{"messages":[{"role":7}]}')
        (self.home / "deep.json").write_text("[" * 100000)
        terminal = self.chat()
        self.ask(terminal, "hello")
        before = self.messages(terminal)
        for line in ("/save notes.txt", "/save no/such/folder/x", "/save", "/load nothing", "/load broken.json", "/load deep.json", "/load notes.txt", "/load ."):
            errors = terminal.text().count("carat: error: ")
            self.ask(terminal, line)
            self.assertEqual(terminal.text().count("carat: error: "), errors + 1, line)
        self.assertEqual((self.home / "notes.txt").read_text(), "precious")
        self.assertEqual(self.messages(terminal), before)
        self.bye(terminal)

    def test_what_is_no_command_is_told(self):
        terminal = self.chat()
        for line, words in (("/nothing", "there is no command /nothing"), ("/image x.png", "/image is not there yet"), ("/audio x.wav", "/audio is not there yet"),
                            ("/think harder", "/think harder means nothing"), ("/help", "Ctrl-R")):
            self.ask(terminal, line)
            terminal.sees(words)
        self.ask(terminal, "/usr/bin is full")
        self.ask(terminal, " /help")
        self.assertEqual(self.questions(terminal), ["/usr/bin is full", " /help"])
        terminal.type("/quit" + ENTER)
        self.assertEqual(terminal.ends(), 0)


class Looks(TerminalTest):
    def test_colours_and_none(self):
        terminal = self.chat()
        terminal.type("plain")
        terminal.sees("plain")
        self.assertTrue(terminal.cell(PROMPT).bold)
        self.assertEqual(terminal.cell("plain").fg, "default")
        terminal.type(CTRL_C)
        self.bye(terminal)
        terminal = self.chat(NO_COLOR="1")
        self.ask(terminal, "hello")
        self.bye(terminal)
        self.assertNotRegex(terminal.written, rb"\x1b\[[0-9;]*m")

    def test_a_dumb_terminal_gets_text_only(self):
        terminal = self.chat(TERM="dumb")
        self.assertFalse(terminal.editing())
        self.ask(terminal, "hello")
        self.ask(terminal, '"""' + ENTER + "a" + ENTER + "b" + ENTER + '"""')
        self.assertEqual(self.questions(terminal), ["hello", "a\nb"])
        self.assertNotIn(b"\x1b", terminal.written)
        self.bye(terminal)

    def test_stdout_of_its_own(self):
        terminal = self.chat(stdout=self.home / "answers.txt")
        self.ask(terminal, "hello")
        answer = self.messages(terminal)[1]["content"]
        self.bye(terminal)
        self.assertEqual((self.home / "answers.txt").read_text().rstrip("\n"), answer.rstrip("\n"), "the answer and nothing else, unrendered")

    def test_stdin_of_its_own_gives_one_answer(self):
        (self.home / "question").write_text("The sun\n")
        terminal = self.terminal(PROGRAM, "run", TINY_E2B, "--raw", *SHORT, stdin=self.home / "question")
        self.assertEqual(terminal.ends(), 0)
        self.assertNotIn(PROMPT, terminal.text())
        self.assertTrue(terminal.text())

    def test_a_reader_that_is_gone_ends_the_chat(self):
        terminal = self.chat(stdout="/dev/full")
        terminal.type("hello" + ENTER)
        self.assertEqual(terminal.ends(), 1)
        self.assertRegex(re.sub(r"\s+", " ", terminal.text()), "carat: error: the answer could not be written")


if __name__ == "__main__":
    unittest.main()
