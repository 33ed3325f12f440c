"""What doctor says about this machine, held against the machine."""
import json
import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from program import PROGRAM, TINY_GEMMA3, ProgramTest, environment


class Doctor(ProgramTest):
    def test_the_report_is_true(self):
        with tempfile.TemporaryDirectory() as home:
            Path(home, "carat/models").mkdir(parents=True)
            Path(home, "carat/models/gemma-3-270m-q4_k_m.gguf").symlink_to(TINY_GEMMA3)
            env = environment(CARAT_HOME=f"{home}/carat", HF_HOME=f"{home}/hf")
            start = time.monotonic()
            report = self.ok_json("doctor", "--json", env=env)
            self.assertLess(time.monotonic() - start, 10, "about a second on a quiet machine")
        cpu, memory, rates, store = report["cpu"], report["memory"], report["rates"], report["store"]
        self.assertEqual(cpu["logical_cores"], os.cpu_count())
        self.assertLessEqual(cpu["physical_cores"], cpu["logical_cores"])
        self.assertTrue(1 <= cpu["threads"] <= cpu["physical_cores"])
        self.assertIn(cpu["isa"], cpu["isa_usable"])
        self.assertLessEqual(set(cpu["isa_usable"]), set(cpu["isa_built"]))
        total = int(re.search(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text()).group(1)) * 1024
        self.assertEqual(memory["total"], total)
        self.assertTrue(0 < memory["available"] <= total)
        self.assertEqual(memory["page"], os.sysconf("SC_PAGESIZE"))
        self.assertGreater(rates["read_gb_per_s"], 0.1)
        self.assertGreater(rates["f32_gflops"], 0.1)
        self.assertGreater(rates["int8_gops"], 0.1)
        self.assertTrue(rates["brief"])
        self.assertEqual(store["carat_home"], f"{home}/carat")
        self.assertEqual(store["path"], f"{home}/hf/hub")
        self.assertEqual([model["name"] for model in store["models"]], ["gemma3:270m"])
        self.assertEqual(store["models"][0]["bytes"], TINY_GEMMA3.stat().st_size)
        for part in report["parts"]:
            self.assertEqual(part["mend"] is None, part["here"], "what is missing can be mended")

    def test_the_text(self):
        text = self.ok("doctor", "--no-measure").decode()
        for word in ("processor", "cores", "instructions", "memory", "models in", "libcurl"):
            self.assertRegex(text, rf"(?m)^{word} ")
        self.assertNotIn("GB/s read", text)
        self.assertIsNone(self.ok_json("doctor", "--no-measure", "--json")["rates"])

    def test_it_says_what_limits_a_process(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one core: nothing can be taken away")
        cpu = min(os.sched_getaffinity(0))
        result = subprocess.run(["taskset", "-c", str(cpu), PROGRAM, "doctor", "--no-measure"], capture_output=True, text=True, env=environment(), timeout=60,
                                check=False)
        self.assertIn("1 of ", result.stdout)
        self.assertIn("may be used", result.stdout)

    def test_a_quota_of_the_cgroup_counts(self):
        group = Path("/sys/fs/cgroup/cpu/carat-test-of-doctor")
        try:
            group.mkdir()
        except OSError as error:
            self.skipTest(f"no cgroup of version 1 can be made here: {error}")
        try:
            (group / "cpu.cfs_quota_us").write_text("100000")   # of periods of as many: one core
            script = f'echo $$ > {group}/cgroup.procs; exec "$@"'
            result = subprocess.run(["bash", "-c", script, "bash", PROGRAM, "doctor", "--no-measure", "--json"], capture_output=True, env=environment(),
                                    timeout=60, check=False)
            self.assertEqual(json.loads(result.stdout)["cpu"]["threads"], 1, result.stderr)
        finally:
            group.rmdir()

    def test_broken_settings_are_reported_not_fatal(self):
        with tempfile.TemporaryDirectory() as home:
            Path(home, "names.json").write_text("{\x1b[31m")
            text = self.ok("doctor", "--no-measure", env=environment(CARAT_HOME=home)).decode()
            self.assertIn("names.json", text)
            self.assertNotIn("\x1b", text)


if __name__ == "__main__":
    unittest.main()
