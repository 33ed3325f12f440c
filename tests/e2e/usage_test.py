"""Help, wrong usage, names of models, exit statuses: what scripts rely on."""
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from program import PROGRAM, TINY_E2B, TINY_GEMMA3, ProgramTest, carat, environment

COMMANDS = ("run", "score", "tokenize", "inspect")


class Usage(ProgramTest):
    def test_help_and_version_go_to_stdout(self):
        overview = self.ok("--help").decode()
        for command in COMMANDS:
            self.assertIn(f"  {command} ", overview)
            text = self.ok(command, "--help").decode()
            self.assertIn("MODEL", text)
            self.assertIn("--json", text)
            self.assertIn("CARAT_MAX_TOKENS", text, "every option is also a variable, and the help says so")
        self.assertRegex(self.ok("--version").decode(), r"\Acarat \d+\.\d+\.\d+\n\Z")

    def test_what_was_meant_is_suggested(self):
        self.assertIn("did you mean --temperature?", self.refused(2, "run", TINY_E2B, "x", "--temp", "0"))
        self.assertIn("did you mean --max-tokens?", self.refused(2, "run", TINY_E2B, "x", "--max-token=3"))
        self.assertNotIn("did you mean", self.refused(2, "run", TINY_E2B, "x", "--banana"))
        self.assertIn("did you mean tokenize?", self.refused(2, "tokenise"))
        self.assertNotIn("did you mean", self.refused(2, "banana"))
        self.assertEqual(self.ok("help", "run"), self.ok("run", "--help"))
        self.refused(2, "help", "banana")

    def test_no_command_prints_the_overview_to_stderr(self):
        result = carat()
        self.assertEqual((result.returncode, result.stdout), (2, b""))
        self.assertIn(b"Usage:", result.stderr)

    def test_wrong_usage_is_status_2(self):
        for arguments in (
            ("nonsense",),
            ("serve",),
            ("run",),
            ("run", TINY_GEMMA3, "--no-such-option"),
            ("run", TINY_GEMMA3, "x", "--threads", "many"),
            ("run", TINY_GEMMA3, "x", "--threads", "-1"),
            ("run", TINY_GEMMA3, "x", "--kv", "f64"),
            ("run", TINY_GEMMA3, "x", "--temperature", "-1"),
            ("run", TINY_GEMMA3, "x", "--top-p", "1.5"),
            ("run", TINY_GEMMA3, "x", "--max-tokens", "99999999999999999999"),
            ("score", TINY_GEMMA3),
            ("score", TINY_GEMMA3, "--text", "-", "--token-ids", "-"),
            ("tokenize", TINY_GEMMA3, "--text", "a", "--jsonl", "b"),
        ):
            self.refused(2, *arguments)

    def test_variables_count_as_options_and_flags_win(self):
        self.assertEqual(self.ok_json("tokenize", TINY_GEMMA3, "--text", "a", env=environment(CARAT_JSON="1"))["pieces"][0], "<bos>")
        self.refused(2, "run", TINY_GEMMA3, "x", env=environment(CARAT_KV="f64"))
        self.refused(1, "tokenize", TINY_GEMMA3, "no-such-file", env=environment(CARAT_SEED="7"))

    def test_models_that_are_not_there(self):
        with tempfile.TemporaryDirectory() as home:
            env = environment(CARAT_HOME=home, HF_HOME=home)
            self.assertIn("path", self.refused(1, "inspect", "gemma4:e2b", env=env))
            self.assertIn("path", self.refused(1, "inspect", "hf:someone/something", env=env))
            self.refused(1, "inspect", f"{home}/none.gguf")
            self.refused(1, "inspect", home)
            self.refused(1, "inspect", "/dev/null")
            self.refused(1, "inspect", "")
            odd = Path(home, "o\x1b[31md\nd.gguf")
            odd.write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 64)
            self.assertNotIn("\x1b", self.refused(1, "inspect", odd))
            # The name is resolved under CARAT_HOME, in any case.
            Path(home, "models").mkdir()
            Path(home, "models/gemma-3-270m-q4_k_m.gguf").symlink_to(TINY_GEMMA3)
            for name in ("gemma3:270m", "Gemma3:270M-pt", "gemma3:270m-q4_K_M"):
                self.assertIn("metadata", self.ok_json("inspect", name, "--json", env=env))

    def test_damaged_files_are_refused(self):
        whole = TINY_E2B.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "damaged.gguf")
            for size in (1, 4, 23, 24, 100, 5000, 50_000, len(whole) // 2, len(whole) - 1):
                file.write_bytes(whole[:size])
                for command in (("inspect", file), ("run", file, "x", "--raw")):
                    self.refused(1, *command)

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, "inspect", TINY_E2B], stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=60, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"carat: error: ", result.stderr)
        # A reader that goes away is no signal.
        process = subprocess.Popen([PROGRAM, "inspect", TINY_E2B, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        process.stdout.close()
        self.assertIn(process.wait(timeout=60), (0, 1))
        process.stderr.close()

    def test_help_fits_a_hundred_columns(self):
        commands = re.findall(r"(?m)^  (\w+) +\S", self.ok("--help").decode())
        for arguments in (("--help",), *((command, "--help") for command in commands)):
            for line in self.ok(*arguments).decode().splitlines():
                self.assertLessEqual(len(line), 100, f"{arguments}: {line}")

    def test_every_command_that_takes_a_model_takes_yes(self):
        for command in ("run", "score", "tokenize", "render", "parse", "inspect", "plan"):
            self.assertIn("\n  --yes ", self.ok(command, "--help").decode(), command)

    @unittest.skipIf(os.environ.get("CARAT_SANITIZED"), "a sanitizer maps terabytes: a limit on the address space ends it before the program begins")
    def test_little_memory_is_an_error_and_no_signal(self):
        for kibibytes in (16_000, 24_000, 32_000, 48_000, 96_000, 400_000):
            for arguments in (("inspect", TINY_E2B), ("run", TINY_E2B, "x", "--raw", "-n", "2")):
                command = ["bash", "-c", f'ulimit -v {kibibytes}; exec "$@"', "bash", PROGRAM, *arguments]
                result = subprocess.run(command, input=b"", capture_output=True, env=environment(), timeout=60, check=False)
                # 127: too little for the program itself to be loaded.
                self.assertIn(result.returncode, (0, 1, 127), f"{kibibytes} {arguments}: {result.stderr}")
                if result.returncode == 1:
                    self.assertRegex(result.stderr, rb"\Acarat: error: [^\n]+\n\Z")

    def test_closed_standard_files(self):
        def close(redirections, *arguments):
            command = ["bash", "-c", f'exec "$@" {redirections}', "bash", PROGRAM, *arguments]
            return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(), timeout=60, check=False)
        run = ("run", TINY_E2B, "x", "--raw", "-n", "2", "--temperature", "0", "--ignore-eos")
        plain = close("", *run)
        self.assertEqual((plain.returncode, close("<&-", *run).stdout), (0, plain.stdout), "a closed stdin is an empty one")
        self.assertEqual(close("<&- 2>&-", *run).stdout, plain.stdout)
        self.assertEqual(close(">&-", *run).returncode, 1, "nobody gets the answer")
        self.assertEqual(close("<&-", "tokenize", TINY_E2B).stdout, b"[2]\n")

    def test_ctrl_c_is_status_130(self):
        reader, writer = os.pipe()   # stdin that stays open: the program waits for it
        process = subprocess.Popen([PROGRAM, "tokenize", TINY_E2B], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)
        process.stdout.close()
        process.stderr.close()
        os.close(reader)
        os.close(writer)
