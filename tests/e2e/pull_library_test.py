"""The store that carat pull and the real huggingface_hub share: it has to be in .venv (./dev test) or in the Python that runs this."""
import subprocess
import sys
import time
import unittest
from pathlib import Path

from hub_server import COMMIT
from program import ROOT, TINY_GEMMA3, carat
from pull_support import BIG, FOLDER, NAME, REPO, PullTest, sha256


def python_with_huggingface_hub():
    for python in (ROOT / ".venv/bin/python", Path(sys.executable)):
        if python.exists() and subprocess.run([python, "-c", "import huggingface_hub"], capture_output=True, check=False).returncode == 0:
            return str(python)
    return None


class WithHuggingFaceHub(PullTest):
    """The real library reads what Carat pulled, and the other way round."""

    def setUp(self):
        super().setUp()
        self.python = python_with_huggingface_hub()
        if not self.python:
            self.skipTest("huggingface_hub is neither in .venv nor in this Python: .venv/bin/pip install huggingface_hub")

    def library(self, code, **variables):
        env = self.env(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_UPDATE_CHECK="1", HF_HUB_DISABLE_PROGRESS_BARS="1", **variables)
        result = subprocess.run([self.python, "-c", code], capture_output=True, env=env, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode().strip()

    def test_the_library_finds_what_carat_pulled(self):
        path = self.pull()["path"]
        count = len(self.hub.requests)
        code = f"import huggingface_hub as h; print(h.hf_hub_download('{REPO}', 'tiny-Q4_K_M.gguf'))"
        self.assertEqual(self.library(code, HF_HUB_OFFLINE="1"), path)
        self.assertEqual(len(self.hub.requests), count)
        self.assertEqual(self.library(code), path)
        self.assertEqual([entry for entry in self.hub.requests[count:] if entry[0] == "store"], [], "nothing is fetched again")
        code = ("import huggingface_hub as h; info = h.scan_cache_dir(); assert not info.warnings, info.warnings; repo, = info.repos; revision, = repo.revisions;"
                "print(repo.repo_id, revision.commit_hash, sorted(revision.refs), sorted(file.file_name for file in revision.files))")
        self.assertEqual(self.library(code), f"{REPO} {COMMIT} ['main'] ['mmproj-tiny-bf16.gguf', 'tiny-Q4_K_M.gguf']")

    def test_carat_finds_what_the_library_pulled(self):
        path = self.library(f"import huggingface_hub as h; print(h.hf_hub_download('{REPO}', 'tiny-Q4_K_M.gguf'))")
        count = len(self.hub.requests)
        self.assertIn("metadata", self.ok_json("inspect", NAME, "--json", env=self.env()))
        self.assertEqual([model["path"] for model in self.ok_json("list", "--json", env=self.env())["models"] if "repo" in model], [path])
        self.assertEqual(len(self.hub.requests), count)
        result = self.pull()
        self.assertEqual((result["path"], result["downloaded_bytes"]), (path, len(b"bf16 towers")), "only the towers were missing")
        self.assertEqual(self.library(f"import huggingface_hub as h; print(h.hf_hub_download('{REPO}', 'mmproj-tiny-bf16.gguf'))", HF_HUB_OFFLINE="1"),
                         str(Path(path).with_name("mmproj-tiny-bf16.gguf")))

    def test_folders_both_ways(self):
        files = {"config.json": b"{}", "tokenizer.json": b"tokens", "model.safetensors": b"weights"}
        self.hub.add("me/folder", files)
        path = self.library("import huggingface_hub as h; print(h.snapshot_download('me/folder'))")
        self.assertEqual(self.pull("hf:me/folder")["downloaded_bytes"], 0)
        self.ok("rm", "hf:me/folder", "--yes", env=self.env())
        self.assertFalse(Path(path).exists())
        self.assertEqual(self.pull("hf:me/folder")["path"], path)
        self.assertEqual(self.library("import huggingface_hub as h; print(h.snapshot_download('me/folder'))", HF_HUB_OFFLINE="1"), path)

    def test_after_rm_the_library_sees_a_sound_cache(self):
        self.pull()
        self.pull(f"{NAME}:q8_0")
        self.ok("rm", f"{NAME}:q8_0", "--yes", env=self.env())
        code = "import huggingface_hub as h; info = h.scan_cache_dir(); assert not info.warnings, info.warnings; print(len(info.repos), info.size_on_disk)"
        self.assertEqual(self.library(code), f"1 {TINY_GEMMA3.stat().st_size + len(b'bf16 towers')}")

    def test_both_take_the_same_lock(self):
        lock = self.store / ".locks" / FOLDER / f"{sha256(BIG)}.lock"
        code = (f"import time; from filelock import FileLock; from pathlib import Path; p = Path('{lock}'); p.parent.mkdir(parents=True);\n"
                "with FileLock(p): print('held', flush=True); time.sleep(1.5)")
        holder = subprocess.Popen([self.python, "-c", code], stdout=subprocess.PIPE, env=self.env())
        self.addCleanup(holder.stdout.close)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        start = time.monotonic()
        result = carat("pull", f"{NAME}:q8_0", env=self.env())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(time.monotonic() - start, 0.8)
        self.assertIn(b"another program", result.stderr)
        holder.wait()


if __name__ == "__main__":
    unittest.main()
