"""carat bench: what it reports adds up, follows its options, and is refused where it cannot be measured."""
import os
import re
import signal
import statistics
import subprocess
import time
import unittest

from program import PROGRAM, SHARED, TINY_E2B, TINY_GEMMA3, ProgramTest, environment

KEYS = {"model", "cpu", "isa", "threads", "prefill", "decode", "load_s", "first_token_s", "peak_rss_bytes", "roofline"}
SANITIZED = bool(os.environ.get("CARAT_SANITIZED"))   # kernels and roofline are not slowed down alike then
QUICK = ("-p", 48, "-n", 12, "--repeat", 2)


class Bench(ProgramTest):
    known = {}   # the roofline takes more than a second each time

    def bench(self, model, *options):
        asked = (model, *options)
        if asked not in self.known:
            self.known[asked] = self.ok_json("bench", model, *QUICK, *options, "--json")
        return self.known[asked]

    def test_the_report_adds_up(self):
        for model in (TINY_E2B, TINY_GEMMA3):
            r = self.bench(model)
            self.assertLessEqual(KEYS, set(r))
            self.assertEqual((r["model"], r["ctx"], r["kv"]), (str(model), 49, "f16"))
            prefill, decode, roof = r["prefill"], r["decode"], r["roofline"]
            self.assertEqual((prefill["tokens"], prefill["steps"], decode["tokens"], decode["steps"]), (48, 1, 12, 12))
            for phase in (prefill, decode):
                self.assertAlmostEqual(phase["tokens_per_s"], phase["tokens"] / phase["seconds"], delta=1e-6 * phase["tokens_per_s"])
                self.assertLessEqual(phase["lowest"], phase["tokens_per_s"])
                self.assertGreaterEqual(phase["highest"], phase["tokens_per_s"])
                self.assertEqual(len(phase["repeats"]), r["repeat"])
                self.assertAlmostEqual(phase["seconds"], statistics.median(b["seconds"] for b in phase["repeats"]), delta=1e-6 * phase["seconds"])
                # Each repeat is held against what the machine allowed beside it, not against another minute's figure.
                share = statistics.median((phase["int8_ops"] / b["int8_gops"] + phase["f32_ops"] / b["gflops"]) / 1e9 / b["seconds"] for b in phase["repeats"])
                self.assertAlmostEqual(phase["flops_share"], share, delta=1e-6 * share)
                self.assertTrue(0 < share < (1e9 if SANITIZED else 1.2), share)
            beside = prefill["repeats"] + decode["repeats"]
            for rate in ("read_gb_per_s", "gflops", "int8_gops"):
                self.assertEqual(len({b[rate] for b in beside}), len(beside), "measured anew for each repeat")
                self.assertAlmostEqual(roof[rate], statistics.median(b[rate] for b in beside), delta=1e-6 * roof[rate])
            share = statistics.median(decode["bytes_per_token"] * decode["steps"] / b["seconds"] / b["read_gb_per_s"] / 1e9 for b in decode["repeats"])
            self.assertAlmostEqual(decode["bandwidth_share"], share, delta=1e-6 * share)
            self.assertGreater(r["load_s"], 0)
            self.assertGreater(r["first_token_s"], r["load_s"])
            self.assertLess(r["peak_rss_bytes"], roof["read_bytes"], "the buffer of the roofline is no part of the peak")

    def test_depth_is_filled_and_found(self):
        shallow, deep = self.bench(TINY_GEMMA3), self.bench(TINY_GEMMA3, "--depth", 256)
        self.assertEqual(deep["ctx"], shallow["ctx"] + 256)
        self.assertEqual(deep["prefill"]["tokens"], 48, "the depth is not computed again")
        self.assertEqual(deep["decode"]["tokens"], 12)
        self.assertEqual(deep["prefill"]["int8_ops"], shallow["prefill"]["int8_ops"])
        self.assertGreater(deep["prefill"]["f32_ops"], shallow["prefill"]["f32_ops"], "attention sees more")
        self.assertGreater(deep["decode"]["bytes_per_token"], shallow["decode"]["bytes_per_token"])
        # A depth that is no whole number of blocks: the rest of it is computed, and counted, with the prompt.
        self.assertEqual(self.bench(TINY_GEMMA3, "--depth", 10)["prefill"]["tokens"], 58)

    def test_sequences_decode_together(self):
        one, four = self.bench(TINY_E2B), self.bench(TINY_E2B, "--parallel", 4, "--depth", 64)
        self.assertEqual((four["parallel"], four["decode"]["tokens"], four["decode"]["steps"]), (4, 48, 12))
        self.assertEqual(four["decode"]["int8_ops"], 4 * one["decode"]["int8_ops"])
        self.assertLess(four["decode"]["bytes_per_token"], 2 * one["decode"]["bytes_per_token"], "weights are read once for all")

    def test_a_phase_can_be_left_out(self):
        r = self.ok_json("bench", TINY_GEMMA3, "-p", 0, "-n", 4, "--repeat", 1, "--json")
        self.assertEqual((r["prefill"]["tokens_per_s"], r["prefill"]["flops_share"]), (None, None))
        self.assertGreater(r["decode"]["tokens_per_s"], 0)
        r = self.ok_json("bench", TINY_GEMMA3, "-p", 4, "-n", 0, "--repeat", 1, "--json")
        self.assertEqual((r["decode"]["tokens_per_s"], r["decode"]["bytes_per_token"], r["decode"]["bandwidth_share"]), (None, None, None))
        self.assertGreater(r["prefill"]["tokens_per_s"], 0)

    def test_every_kind_of_cache_instructions_and_backend(self):
        half = self.bench(TINY_GEMMA3)["decode"]["bytes_per_token"]
        self.assertLess(self.bench(TINY_GEMMA3, "--kv", "q8")["decode"]["bytes_per_token"], half)
        full = self.bench(TINY_GEMMA3, "--kv", "f32", "--isa", "scalar", "--threads", 1)
        self.assertGreater(full["decode"]["bytes_per_token"], half)
        self.assertEqual((full["isa"], full["threads"], full["kv"]), ("scalar", 1, "f32"))
        plain = self.bench(TINY_GEMMA3, "--backend", "ref")
        self.assertEqual((plain["isa"], plain["threads"]), ("ref", 1))

    def test_a_mixture_of_experts(self):
        model = SHARED / "golden/models/tiny-26b/gguf/model-Q4_K_M.gguf"
        if not model.exists():
            raise unittest.SkipTest(f"{model} is not here (set CARAT_SHARED)")
        bytes_of = lambda s: self.bench(model, "--parallel", s)["decode"]["bytes_per_token"]
        self.assertTrue(bytes_of(1) < bytes_of(4), "rows together use more experts")

    def test_for_people(self):
        text = self.ok("bench", TINY_GEMMA3, *QUICK, "--parallel", 2, "--depth", 32).decode()
        for line in (r"prefill 48 +[\d.]+ tokens/s \([\d.]+ to [\d.]+\) +\d+ % of what the arithmetic allows", r"decode 12 +.*% of what the memory allows, 2 sequences together",
                     r"a step reads +[\d.]+ [KM]iB", r"load +[\d.]+ s", r"first token +[\d.]+ s", r"peak memory +[\d.]+ MiB", r"this machine +reads [\d.]+ GB/s"):
            self.assertTrue(re.search(rf"(?m)^{line}", text), f"{line}\n{text}")

    def test_what_cannot_be_measured_is_refused(self):
        for options in (("-p", "many"), ("-p", -1), ("-n", 1 << 30), ("--parallel", 0), ("--repeat", 0), ("--depth", "1e3"), ("--ctx", 100), ("--kv", "f64")):
            self.refused(2, "bench", TINY_GEMMA3, *options)
        self.refused(1, "bench", "no-such-file.gguf")
        self.refused(1, "bench", TINY_GEMMA3, "-p", 0, "-n", 0)
        self.refused(1, "bench", TINY_GEMMA3, "--depth", 1 << 24)
        self.refused(1, "bench", TINY_GEMMA3, "--mem-limit", "1M")

    def test_a_reader_that_goes_away_and_an_interrupt(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "bench", TINY_GEMMA3, "-p", "4", "-n", "4", "--repeat", "1"], stdout=full, stderr=subprocess.PIPE, env=environment(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"carat: error: ", done.stderr)
        process = subprocess.Popen([PROGRAM, "bench", TINY_GEMMA3, "--repeat", "1000", "-n", "4000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
        self.assertEqual((process.returncode, out), (130, b""))
