"""The built program, started as a user would start it."""
import json
import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CARAT_PROGRAM", str(ROOT / "build/carat"))
SHARED = Path(os.environ.get("CARAT_SHARED", ROOT.parent / "shared"))
TINY_E2B = ROOT / "tests/golden/models/tiny-e2b-Q4_K_M.gguf"
TINY_GEMMA3 = ROOT / "tests/golden/models/tiny-gemma3-Q4_K_M.gguf"
REAL_MODEL = Path(os.environ.get("CARAT_MODEL_270M", ROOT / "models/gemma-3-270m-q4_k_m.gguf"))
TIMEOUT = 240   # seconds; nothing may hang


def environment(**variables):
    """Nothing of the caller's settings changes what is tested."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CARAT_")}
    return {**clean, **variables}


def carat(*arguments, stdin=b"", env=None, timeout=TIMEOUT, cwd=None):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    command = [PROGRAM, *(str(argument) for argument in arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, env=env or environment(), cwd=cwd, check=False)


class ProgramTest(unittest.TestCase):
    maxDiff = None

    def ok(self, *arguments, **options):
        """stdout of a command that has to succeed."""
        result = carat(*arguments, **options)
        self.assertEqual(result.returncode, 0, f"{arguments}: {result.stderr.decode(errors='replace')}")
        return result.stdout

    def ok_json(self, *arguments, **options):
        return json.loads(self.ok(*arguments, **options))

    def refused(self, status, *arguments, **options):
        """The one line on stderr of a command that has to fail; nothing may be on stdout."""
        result = carat(*arguments, **options)
        line = result.stderr.decode()
        self.assertEqual(result.returncode, status, f"{arguments}: {line}")
        self.assertEqual(result.stdout, b"", arguments)
        self.assertRegex(line, r"\Acarat: error: [^\n]{20,}\n\Z", arguments)
        return line


def golden(*parts):
    path = SHARED.joinpath("golden", *parts)
    if not path.exists():
        raise unittest.SkipTest(f"{path} is not here (set CARAT_SHARED)")
    return path


def foreign_templates():
    if not Path(PROGRAM).with_name("carat-template").exists():
        raise unittest.SkipTest("carat-template is not built (it wants cargo 1.85): templates of others cannot be run")


def real_model():
    if not REAL_MODEL.exists():
        raise unittest.SkipTest(f"{REAL_MODEL} is not here (./dev model gets it)")
    return REAL_MODEL
