"""bench/compare.py: what it concludes from what two programs say. The programs are stand-ins with known speeds."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from program import ROOT

STAND_IN = """#!/usr/bin/env python3
import json, os, sys
args = sys.argv[1:]
after = lambda name, default=None: args[args.index(name) + 1] if name in args else default
name = os.path.basename(sys.argv[0])
with open(os.environ["TURNS"], "a") as file:
    file.write(name + "\\n")
deep = int(after("-d", after("--depth", "0"))) > 0
if name == "llama-bench":
    print(json.dumps([{"n_gen": 0, "avg_ts": 50 if deep else 100}, {"n_gen": 8, "avg_ts": 5 if deep else 20}]))
elif name == "llama-batched-bench":
    print("a line of something else\\n" + json.dumps({"pl": int(after("-npl")), "speed_tg": 60}))
elif name == "carat" and args[0] == "bench":
    print(json.dumps({"prefill": {"tokens_per_s": 100 if deep else 300, "flops_share": 0.5}, "peak_rss_bytes": 1 << 20,
                      "decode": {"tokens_per_s": 90 if "--parallel" in args else 20 if deep else 10, "bandwidth_share": 0.25}}))
else:
    print("Paris")
"""


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("llama-bench", "llama-batched-bench", "llama-completion", "carat"):
            (self.folder / name).write_text(STAND_IN)
            (self.folder / name).chmod(0o755)
        (self.folder / "model.gguf").write_bytes(b"weights")

    def compare(self, *options, status=0):
        env = {**os.environ, "CARAT_LLAMA_BENCH": str(self.folder / "llama-bench"), "TURNS": str(self.folder / "turns")}
        command = [sys.executable, ROOT / "bench/compare.py", self.folder / "model.gguf", "--carat", self.folder / "carat", "--json", self.folder / "out.json", *options]
        done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status in (0, 1, 3) and not done.stderr else done.stderr

    def rows(self):
        return {row["figure"]: row for row in json.loads((self.folder / "out.json").read_text())["rows"]}

    def test_every_line_with_ratios_in_carats_favour(self):
        text = self.compare("--quiet", 1e9, "--rounds", 3)
        rows = self.rows()
        self.assertEqual(list(rows), ["prefill", "decode", "prefill at depth", "decode at depth", "parallel", "start", "memory"])
        ratio = {name: row["ratio"]["median"] for name, row in rows.items()}
        self.assertEqual([ratio[name] for name in ("prefill", "decode", "prefill at depth", "decode at depth", "parallel")], [3, 0.5, 2, 4, 1.5])
        self.assertEqual(ratio["memory"], sorted((row["llama.cpp"]["memory"] / (1 << 20) for row in json.loads((self.folder / "out.json").read_text())["rounds"]["plain"]))[1],
                         "less memory is better")
        self.assertGreater(rows["start"]["carat"], 0)
        self.assertEqual((rows["prefill"]["share"], rows["decode"]["share"]), (0.5, 0.25))
        self.assertEqual(json.loads((self.folder / "out.json").read_text())["decode_kept_at_depth"], {"llama.cpp": 0.25, "carat": 2})
        self.assertIn("| prefill of 512 | 100.0 tokens/s | 300.0 tokens/s | 3.000 (3.000 to 3.000) | 50 % | 3 of 3 |", text)

    def test_programs_take_turns(self):
        self.compare("--quiet", 1e9, "--rounds", 4, "--lines", "prefill")
        self.assertEqual((self.folder / "turns").read_text().split(), ["llama-bench", "carat", "carat", "llama-bench"] * 2)

    def test_disturbed_rounds_are_no_verdict(self):
        self.assertIn("INVALID: 0 undisturbed", self.compare("--quiet", -1, "--rounds", 3, "--lines", "decode", status=3))
        self.assertFalse(self.rows()["decode"]["valid"])

    def test_at_least_decides_the_status(self):
        self.compare("--quiet", 1e9, "--rounds", 3, "--lines", "prefill", "--at-least", 2.5)
        self.compare("--quiet", 1e9, "--rounds", 3, "--lines", "prefill,decode", "--at-least", 2.5, status=1)

    def test_only_one_program(self):
        self.compare("--quiet", 1e9, "--rounds", 3, "--lines", "prefill", "--only", "carat")
        self.assertEqual((self.folder / "turns").read_text().split(), ["carat"] * 3)
        self.assertNotIn("ratio", self.rows()["prefill"])

    def test_wrong_usage_and_failing_programs_say_so(self):
        self.assertIn("there is no 'speed'", self.compare("--lines", "speed", status=1))
        self.assertIn("at least 1", self.compare("--rounds", 0, status=1))
        (self.folder / "llama-batched-bench").unlink()
        self.assertIn("the line parallel needs it", self.compare("--lines", "parallel", status=1))
        (self.folder / "carat").write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
        self.assertIn("exit status 7: broken", self.compare("--lines", "prefill", status=1))
