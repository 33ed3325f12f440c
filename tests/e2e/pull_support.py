"""What the tests of carat pull share: a hub on loopback with a small repository, a store of their own."""
import hashlib
import random
import shutil
import tempfile
from pathlib import Path

from hub_server import Hub
from program import TINY_GEMMA3, ProgramTest, carat, environment

REPO = "me/tiny-GGUF"
NAME = f"hf:{REPO}"
TOKEN = "hf_secret_of_the_test"
FOLDER = f"models--{REPO.replace('/', '--')}"
NOISE = random.Random(1)
BIG = NOISE.randbytes(6_300_000)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class PullTest(ProgramTest):
    def setUp(self):
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.home = Path(tempfile.mkdtemp(prefix="carat-pull-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.hub.add(REPO, {"README.md": b"# Tiny\n", "tiny-Q4_K_M.gguf": TINY_GEMMA3.read_bytes(), "tiny-Q8_0.gguf": BIG,
                            "mmproj-tiny-f16.gguf": b"f16 towers", "mmproj-tiny-bf16.gguf": b"bf16 towers"})

    def env(self, **variables):
        clean = {key: value for key, value in environment().items() if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) and "proxy" not in key.lower()}
        return {**clean, "HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.home), "CARAT_HOME": str(self.home), "HOME": str(self.home), **variables}

    @property
    def store(self):
        return self.home / "hub"

    def blobs(self, repo=REPO):
        folder = self.store / f"models--{repo.replace('/', '--')}" / "blobs"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def pull(self, name=NAME, *options, **variables):
        return self.ok_json("pull", name, "--json", *options, env=self.env(**variables))

    def no_pull(self, name=NAME, *options, **variables):
        """The error line; under no final name there is anything."""
        line = self.refused_pull(1, name, *options, **variables)
        snapshots = self.store / FOLDER / "snapshots"
        self.assertEqual([path for path in snapshots.rglob("*") if not path.is_dir()] if snapshots.exists() else [], [])
        for blob in self.blobs():
            if len(blob) == 64:
                self.assertEqual(sha256((self.store / FOLDER / "blobs" / blob).read_bytes()), blob)
        return line

    def refused_pull(self, status, name, *options, **variables):
        result = carat("pull", name, *options, env=self.env(**variables))
        line = result.stderr.decode()
        self.assertEqual((result.returncode, result.stdout), (status, b""), line)
        self.assertRegex(line.splitlines()[-1], r"\Acarat: error: [^\n]{20,}\Z")
        return line.splitlines()[-1]
