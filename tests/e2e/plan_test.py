"""The plan of memory, held against the memory that runs take."""
import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from program import PROGRAM, TINY_E2B, TINY_GEMMA3, ProgramTest, environment, real_model

MIB = 1 << 20
SANITIZED = bool(os.environ.get("CARAT_SANITIZED"))


def peak_of(*arguments):
    """Status, stderr and peak resident bytes of a run."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        return process.returncode, errors.read().decode(), usage.ru_maxrss * 1024


class Plan(ProgramTest):
    def plan(self, model, *options):
        return self.ok_json("plan", model, *options, "--json")

    def test_the_parts_add_up(self):
        for model in (TINY_E2B, TINY_GEMMA3):
            plan = self.plan(model, "--ctx", 512, "--parallel", 4)
            self.assertEqual(list(plan)[:11], ["weights", "weights_mapped", "per_layer_embeddings", "kv", "activations", "media", "program", "total", "available", "fits", "max_ctx"])
            self.assertEqual(plan["total"], plan["weights"] + plan["kv"]["total"] + plan["activations"] + plan["media"] + plan["program"])
            self.assertEqual(plan["per_layer_embeddings"]["resident"], 0)
            self.assertEqual(plan["per_layer_embeddings"]["mapped"] > 0, model is TINY_E2B)
            self.assertTrue(plan["fits"])
            totals = [plan["kv"]["total"], *(self.plan(model, "--ctx", 512, "--parallel", n)["kv"]["total"] for n in (8, 12))]
            self.assertGreater(totals[1], totals[0])
            self.assertEqual(totals[2] - totals[1], totals[1] - totals[0], "each sequence takes the same")
            self.assertEqual(self.plan(model, "--ctx", 512, "--kv", "f32")["kv"]["bytes_per_token"], 2 * plan["kv"]["bytes_per_token"])

    def test_the_text_names_every_part(self):
        text = self.ok("plan", TINY_E2B, "--ctx", 256).decode()
        for part in ("weights", "per-layer embeddings", "KV cache", "activations", "media", "program", "total", "available"):
            self.assertRegex(text, rf"(?m)^{part} +[0-9.]+ [KMG]iB ")
        self.assertIn("does not fit", self.ok("plan", TINY_E2B, "--ctx", 256, "--mem-limit", "1M").decode())

    def test_no_weights_are_read(self):
        # Zeros stand for the weights: the plan of a file is that of its header.
        whole = TINY_GEMMA3.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "hollow.gguf")
            file.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
            keys = ("weights", "kv", "activations")
            plan, other = self.plan(TINY_GEMMA3, "--ctx", 256), self.plan(file, "--ctx", 256)
            self.assertEqual({key: plan[key] for key in keys}, {key: other[key] for key in keys})

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory is not in the plan")
    def test_advice_and_limits_hold(self):
        most = self.plan(TINY_E2B, "--parallel", 64)
        limit = most["total"] - most["kv"]["total"] * 3 // 8   # q8 saves 7 of 16: no advice stands on the edge
        tight = self.plan(TINY_E2B, "--parallel", 64, "--mem-limit", limit)
        self.assertTrue(tight["fits"])
        self.assertTrue(0 < tight["max_ctx"] < most["max_ctx"])
        self.assertLessEqual(tight["total"], limit)
        over = self.ok("plan", TINY_E2B, "--parallel", 64, "--ctx", most["max_ctx"], "--mem-limit", limit).decode()
        self.assertIn("does not fit", over)
        ways = re.findall(r"--(kv|ctx|parallel) (\w+)", over)
        self.assertTrue(ways, over)
        for option, value in ways:
            value = int(value) * 9 // 10 if value.isdigit() else value   # the program itself is not the same to the byte from run to run
            arguments = {"ctx": most["max_ctx"], "parallel": 64, option: value}
            plan = self.plan(TINY_E2B, *(word for key, each in arguments.items() for word in (f"--{key}", each)), "--mem-limit", limit)
            self.assertTrue(plan["fits"], (option, value))
        # Steps become smaller before anything is refused.
        self.assertLess(self.plan(TINY_E2B, "--mem-limit", "14M")["step_rows"], most["step_rows"])
        self.ok("run", TINY_E2B, "x", "--raw", "-n", 1, "--mem-limit", "14M")
        small = self.refused(1, "run", TINY_E2B, "x", "--raw", "--mem-limit", "1M")
        self.assertIn("weights", small)

    def test_wrong_usage(self):
        self.refused(2, "plan")
        self.refused(2, "plan", TINY_E2B, "--parallel", 0)
        self.refused(2, "plan", TINY_E2B, "--mem-limit", "much")
        self.refused(1, "plan", TINY_E2B, "--ctx", 1_000_000)

    @unittest.skipIf(SANITIZED, "a sanitizer maps terabytes: a limit on the address space ends it before the program begins")
    def test_few_addresses_are_an_error_and_no_signal(self):
        for kibibytes in (32_000, 64_000, 200_000):   # not enough for the stacks of 64 threads
            line = self.limited(kibibytes, "plan", TINY_GEMMA3, "--threads", 64)
            self.assertIn("--threads", line)
        self.assertIn("--parallel", self.limited(60_000, "plan", TINY_GEMMA3, "--parallel", 4096, "--ctx", 64))

    def limited(self, kibibytes, *arguments):
        command = ["bash", "-c", f'ulimit -v {kibibytes}; exec "$@"', "bash", PROGRAM, *map(str, arguments)]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(), timeout=30, check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""), (kibibytes, arguments, result.stderr))
        self.assertRegex(result.stderr, r"\Acarat: error: [^\n]+\n\Z")
        return result.stderr

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory is not in the plan")
    def test_the_plan_foretells_the_peak(self):
        model = real_model()
        start = time.monotonic()
        plan = self.plan(model, "--ctx", 1024)
        self.assertLess(time.monotonic() - start, 5, "the file is not read")
        with tempfile.TemporaryDirectory() as folder:
            ids = Path(folder, "ids.json")
            ids.write_text(str([2] + [1000 + 7 * i for i in range(979)]))
            status, errors, peak = peak_of("run", model, "--token-ids", ids, "--ctx", 1024, "-n", 44, "--ignore-eos", "--temperature", 1, "--seed", 1)
        self.assertEqual(status, 0, errors)
        self.assertLess(peak, 1.03 * plan["total"], plan)
        scored = 64 * 1024 * plan["step_rows"]   # logits of a step that scores a prompt: counted, but not wanted here
        self.assertGreater(peak, 0.97 * (plan["total"] - scored), plan)

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory is not in the plan")
    def test_threads_keep_nothing_for_themselves(self):
        model = real_model()
        with tempfile.TemporaryDirectory() as folder:
            ids = Path(folder, "ids.json")
            ids.write_text(str([2] + [1000 + 7 * i for i in range(299)]))
            arguments = (model, "--ctx", 302, "--threads", 32)
            plan = self.plan(*arguments)
            status, errors, peak = peak_of("run", *arguments, "--token-ids", ids, "-n", 2, "--ignore-eos", "--temperature", 0)
        self.assertEqual(status, 0, errors)
        self.assertLess(peak, 1.03 * plan["total"])

    @unittest.skipIf(SANITIZED, "a sanitizer's own memory is not in the plan")
    def test_a_limit_is_kept_or_refused(self):
        model = real_model()
        prompt = "word " * 500
        held = refused = 0
        for limit in (16, 64, 128, 256, 300, 340, 352, 360, 400):
            status, errors, peak = peak_of("run", model, prompt, "-n", 4, "--ignore-eos", "--mem-limit", f"{limit}M")
            self.assertIn(status, (0, 1), errors)
            if status == 1:
                self.assertRegex(errors, r"\Acarat: error: [^\n]+\n\Z")
                if "memory:" in errors:   # else the prompt is too long for the context that fitted
                    refused += 1
                    self.assertLess(peak, 100 * MIB, "refused before the weights were read")
            else:
                held += 1
                self.assertLess(peak, 1.03 * limit * MIB)
        self.assertGreater(held, 3)
        self.assertGreater(refused, 3)


if __name__ == "__main__":
    unittest.main()
