"""carat quantize: files that run, errors that are true, and nothing half done whatever ends it."""
import json
import math
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

from program import PROGRAM, TIMEOUT, TINY_E2B, TINY_GEMMA3, ProgramTest, carat, environment, golden, real_model

TEXT = " ".join(f"The {a} {b} of the {c} was seen {d} times." for a in ("old", "red", "small") for b in ("house", "river", "book")
                for c in ("town", "king", "north") for d in ("two", "many", "no"))


class Quantize(ProgramTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.text = self.folder / "text.txt"
        self.text.write_text(TEXT)
        self.out = self.folder / "out.gguf"

    def quantize(self, model, *options, out=None):
        return self.ok_json("quantize", model, out or self.out, "--json", *options)

    def score(self, model, *options):
        return self.ok_json("score", model, "--text", self.text, "--kv", "f32", *options)

    def types(self, model):
        return {tensor["name"]: tensor["type"] for tensor in self.ok_json("inspect", model, "--json")["tensors"]}

    def test_every_type_is_written_and_runs(self):
        base = self.score(TINY_E2B)
        for kind in ("f32", "bf16", "f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", "iq4_xs", "mxfp4", "nvfp4"):
            with self.subTest(kind=kind):
                report = self.quantize(TINY_E2B, "--type", kind)
                self.assertEqual(report["bytes"]["after"], self.out.stat().st_size)
                self.assertEqual({t["name"]: t["to"] for t in report["tensors"]},
                                 {name: of.lower() for name, of in self.types(self.out).items() if not name.endswith(".scale")}, "factors of nvfp4 aside")
                scored = self.score(self.out)
                self.assertEqual(scored["token_ids"], base["token_ids"])
                self.assertTrue(all(math.isfinite(x) for x in scored["logprobs"][1:]))
                if kind == "f32":
                    self.assertEqual(self.score(self.out, "--backend", "ref"), self.score(TINY_E2B, "--backend", "ref"), "written out, nothing is lost")

    def test_a_folder_and_the_gguf_made_of_it_say_the_same(self):
        for name in ("tiny-e2b", "tiny-e4b", "tiny-26b", "tiny-31b", "tiny-12b-unified", "tiny-gemma3"):
            folder = golden("models", name, "hf")
            self.quantize(folder, "--type", "bf16")
            self.assertEqual(self.score(self.out), self.score(folder), name)
            self.assertEqual(self.ok("tokenize", self.out, "--text", "Grüße, 世界! <|turn>"), self.ok("tokenize", folder, "--text", "Grüße, 世界! <|turn>"))

    def test_the_divergence_is_that_of_the_scores(self):
        report = self.quantize(TINY_GEMMA3, "--type", "q2_k", "--kl-text", self.text, "--report", self.folder / "report.json")
        self.assertEqual(json.loads((self.folder / "report.json").read_text()), report)
        ids = self.ok_json("tokenize", TINY_GEMMA3, "--text", TEXT)[:512]   # <bos> and 511 more: a window
        before, after = (self.ok_json("score", model, "--token-ids", "-", "--top", "768", "--kv", "f32", stdin=json.dumps(ids)) for model in (TINY_GEMMA3, self.out))
        divergence = report["divergence"]
        values, same = [], 0
        for p, q in zip(before["top"][1:], after["top"][1:]):
            q_of = dict(map(tuple, q))
            values.append(sum(math.exp(logprob) * (logprob - q_of[token]) for token, logprob in p))
            same += p[0][0] == q[0][0]
        self.assertGreater(len(values), 200)
        self.assertEqual(divergence["positions"], len(values) if len(ids) < 512 else 512)
        self.assertAlmostEqual(divergence["kl"]["mean"] / (sum(values) / len(values)), 1, places=2)
        self.assertAlmostEqual(divergence["same_top1"], same / len(values), places=2)
        self.assertAlmostEqual(divergence["perplexity"]["before"] / before["perplexity"], 1, places=1)

    def test_calibration_lowers_the_divergence(self):
        held_out = self.folder / "held.txt"
        held_out.write_text(TEXT.replace("The", "A").replace("times", "days")[:3000])
        for model in (TINY_E2B, TINY_GEMMA3):
            base = self.folder / "base.gguf"
            self.quantize(model, "--type", "bf16", out=base)
            plain = self.quantize(base, "--type", "q2_k", "--kl-text", held_out)
            calibrated = self.quantize(base, "--type", "q2_k", "--kl-text", held_out, "--calibrate", self.text)
            self.assertIsNone(plain["calibration"])
            self.assertGreater(calibrated["calibration"]["tokens"], 500)
            self.assertLess(calibrated["divergence"]["kl"]["mean"], plain["divergence"]["kl"]["mean"], model)
            self.assertTrue(all(t["calibrated"] for t in calibrated["tensors"] if "attn_q.weight" in t["name"]))
        # Without another text the last tenth is held out.
        held = self.quantize(base, "--type", "q4_0", "--calibrate", self.text)
        self.assertGreater(held["divergence"]["positions"], 50)
        self.assertLess(held["calibration"]["tokens"], calibrated["calibration"]["tokens"])

    def test_a_dry_run_foretells_the_file(self):
        foretold = self.ok_json("quantize", TINY_E2B, "--type", "q5_k_m", "--tensor-type", r"blk\.0\.ffn_down=q8_0", "--dry-run", "--json")
        self.assertFalse(foretold["written"])
        self.assertFalse(self.out.exists())
        done = self.quantize(TINY_E2B, "--type", "q5_k_m", "--tensor-type", r"blk\.0\.ffn_down=q8_0")
        self.assertEqual(foretold["bytes"], done["bytes"])
        self.assertEqual([(t["name"], t["to"], t["bytes"]) for t in foretold["tensors"]], [(t["name"], t["to"], t["bytes"]) for t in done["tensors"]])
        self.assertEqual(self.types(self.out)["blk.0.ffn_down.weight"], "Q8_0")
        self.assertIn("blk.0.ffn_down.weight", self.ok("quantize", TINY_E2B, "--type", "q5_k_m", "--dry-run").decode())

    def test_packed_files_say_the_same(self):
        for model in (TINY_E2B, TINY_GEMMA3):
            report = self.quantize(model, "--type", "keep", "--packed")
            self.assertTrue(report["packed"])
            self.assertEqual(report["bytes"]["after"], self.out.stat().st_size)
            self.assertEqual(report["totals"]["relative_rmse"], 0)
            for backend in ("cpu", "ref"):
                self.assertEqual(self.score(self.out, "--backend", backend), self.score(model, "--backend", backend), backend)
            inspected = self.ok_json("inspect", self.out, "--json")
            self.assertEqual(inspected["problems"], [])
            layouts = {t["name"]: t.get("layout") for t in inspected["tensors"]}
            self.assertEqual(layouts["blk.0.attn_q.weight"], "panels16")
            self.assertIsNone(layouts["blk.0.attn_norm.weight"])
            self.assertIn(b"panels16", self.ok("inspect", self.out))
            plan = self.ok_json("plan", self.out, "--ctx", "64", "--json")
            self.assertEqual(self.ok_json("plan", model, "--ctx", "64", "--json")["weights_mapped"], 0)
            self.assertGreater(plan["weights_mapped"], 0.9 * plan["weights"])
            self.assertLess(plan["weights_mapped"], plan["weights"])
            self.assertIn(b"mapped", self.ok("plan", self.out, "--ctx", "64"))
            # Back again: nothing was lost.
            back = self.folder / "back.gguf"
            self.ok("quantize", self.out, back, "--type", "keep")
            self.assertEqual(self.score(back), self.score(model))
            self.assertEqual(self.types(back), self.types(model))

    def test_packed_files_that_are_damaged(self):
        self.quantize(TINY_E2B, "--type", "keep", "--packed")
        good = self.out.read_bytes()
        bad = self.folder / "bad.gguf"
        bad.write_bytes(good[:-4096])
        self.assertIn("cut short", self.refused(1, "score", bad, "--text", self.text))
        bad.write_bytes(good.replace(b"panels16", b"panels64"))
        self.assertIn("panels64", self.refused(1, "score", bad, "--text", self.text))
        self.assertIn("pack the model again", self.refused(1, "inspect", bad))

    def test_what_people_see(self):
        result = carat("quantize", TINY_E2B, self.out, "--type", "q4_0")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"warning: the model is quantised already", result.stderr)
        self.assertIn(b"bits per weight", result.stdout)
        self.assertIn(b"KL divergence was not measured", result.stdout)

    def test_refusals(self):
        copy = self.folder / "in.gguf"
        shutil.copy(TINY_E2B, copy)
        before = copy.read_bytes()
        (self.folder / "link.gguf").symlink_to(copy)
        for out in (copy, self.folder / "link.gguf", self.folder / "." / "in.gguf"):
            self.assertIn("OUT is IN", self.refused(1, "quantize", copy, out, "--type", "q8_0"))
        self.assertEqual(copy.read_bytes(), before)
        self.assertIn("no GGUF", self.refused(1, "quantize", copy, self.text, "--type", "q8_0"))
        self.assertEqual(self.text.read_text(), TEXT)
        self.refused(1, "quantize", copy, self.folder, "--type", "q8_0")
        self.refused(1, "quantize", copy, self.folder / "no/out.gguf", "--type", "q8_0")
        self.assertIn("--report", self.refused(1, "quantize", copy, self.out, "--type", "q8_0", "--report", self.folder / "no/report.json"))
        self.refused(1, "quantize", copy, self.out, "--type", "q8_0", "--tensor-type", "nothing=q8_0")
        self.refused(1, "quantize", copy, self.out, "--type", "q8_0", "--tensor-type", "(=q8_0")
        self.refused(1, "quantize", copy, self.out, "--type", "q8_0", "--tensor-type", "q8_0")
        self.refused(1, "quantize", copy, self.out, "--type", "q8_0", "--calibrate", self.folder / "none.txt")
        self.assertIn("q4_k_m", self.refused(2, "quantize", copy, self.out, "--type", "q9"))
        self.refused(2, "quantize", copy, "--type", "q8_0")
        self.refused(2, "quantize", copy, self.out)
        empty = self.folder / "empty.txt"
        empty.write_text("")
        self.refused(1, "quantize", copy, self.out, "--type", "q8_0", "--kl-text", empty)
        self.assertFalse(self.out.exists())

    def test_an_old_file_is_replaced_only_when_the_new_one_is_whole(self):
        self.quantize(TINY_E2B, "--type", "q8_0")
        self.out.chmod(0o640)
        old = self.out.read_bytes()
        damaged = bytearray(TINY_GEMMA3.read_bytes())
        cut = self.folder / "cut.gguf"
        cut.write_bytes(damaged[:-1000])
        self.refused(1, "quantize", cut, self.out, "--type", "q4_0")
        self.assertEqual(self.out.read_bytes(), old)
        self.quantize(TINY_E2B, "--type", "q4_0")
        self.assertNotEqual(self.out.read_bytes(), old)
        self.assertEqual(stat.S_IMODE(self.out.stat().st_mode), 0o640)

    def ended(self, model, number, delay):
        """Starts, ends it after a while; what is in the folder besides what was there."""
        there = set(os.listdir(self.folder))
        process = subprocess.Popen([PROGRAM, "quantize", str(model), str(self.out), "--type", "iq4_xs", "--threads", "1"], env=environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(number)
        process.wait(60)
        return process.returncode, set(os.listdir(self.folder)) - there

    def test_ended_at_any_moment_it_leaves_nothing(self):
        model = real_model()
        rng = random.Random(5)
        ended = 0
        for i in range(int(os.environ.get("CARAT_TEST_KILLS", "6"))):
            number = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[i % 3]
            status, left = self.ended(model, number, rng.uniform(0.05, 1.5))
            if status == 0:
                continue
            ended += 1
            self.assertEqual(left, set(), f"after signal {number}")
            if number == signal.SIGINT:
                self.assertEqual(status, 130)
        self.assertGreater(ended, 2)

    def small_disk(self, size):
        small = self.folder / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small], capture_output=True, check=False).returncode != 0:
            self.skipTest("a small file system cannot be mounted here (it wants root)")
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        return small

    def failed_writing(self, process, out):
        """One line that says what could not be written; nothing but that."""
        stdout, stderr = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, stdout), (1, b""), stderr)
        lines = [line for line in stderr.decode().splitlines() if not line.startswith("carat: warning: the model is quantised already")]
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], rf"\Acarat: error: {out}: writing failed \([^)]+\); free some space")

    def test_a_limit_on_the_size_of_files(self):
        self.quantize(TINY_GEMMA3, "--type", "q8_0")
        old, there = self.out.read_bytes(), set(os.listdir(self.folder))
        whole = self.quantize(TINY_GEMMA3, "--type", "f32", "--dry-run")["bytes"]["after"]
        for limit in (1000, whole // 2, whole - 1):   # in the header, in a tensor, in the last one
            with self.subTest(limit=limit):
                process = subprocess.Popen([PROGRAM, "quantize", TINY_GEMMA3, self.out, "--type", "f32"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                self.failed_writing(process, self.out)
                self.assertEqual(set(os.listdir(self.folder)), there, "nothing is left over")
                self.assertEqual(self.out.read_bytes(), old, "the old file is as it was")

    def test_a_disk_that_fills_up_meanwhile(self):
        model, small = real_model(), self.small_disk("400m")
        process = subprocess.Popen([PROGRAM, "quantize", model, small / "out.gguf", "--type", "iq4_xs", "--threads", "1"], env=environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        while process.poll() is None and shutil.disk_usage(small).used < 1 << 20:   # until it writes
            time.sleep(0.002)
        with open(small / "other", "wb", buffering=0) as other:
            try:
                while True:
                    other.write(bytes(1 << 20))
            except OSError:
                pass
        self.failed_writing(process, small / "out.gguf")
        self.assertEqual(os.listdir(small), ["other"])

    def test_a_disk_that_is_too_small(self):
        small = self.small_disk("300k")
        line = self.refused(1, "quantize", TINY_GEMMA3, small / "out.gguf", "--type", "f32")
        self.assertIn("room", line)
        self.assertEqual(os.listdir(small), [])
