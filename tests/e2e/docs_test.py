"""The commands that README.md and docs/guide show are run as they stand there."""
import os
import re
import subprocess
import tempfile
from pathlib import Path

from program import PROGRAM, ROOT, TINY_GEMMA3, ProgramTest, environment, real_model

COMMAND = re.compile(r"^    ((?:\S.*\| )?(?:build/)?carat .*)$", re.MULTILINE)


def commands(page):
    for line in COMMAND.findall(page.read_text()):
        yield re.sub(r"\s+# .*$", "", line)


class Docs(ProgramTest):
    def test_every_command_works(self):
        model = real_model()
        found = 0
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / "build").mkdir()
            (work / "build/carat").symlink_to(PROGRAM)
            (work / "models").mkdir()
            (work / "models" / model.name).symlink_to(model)
            for name in ("model.gguf", "MODEL.gguf"):
                (work / name).symlink_to(TINY_GEMMA3)
            (work / "notes.txt").write_text("The sun rises in the east.\n")
            (work / "README.md").write_text("A short text.\n")
            (work / "ids.json").write_text("[2, 9259]")
            (work / "texts.jsonl").write_text('"Hello"\n')
            env = environment(CARAT_HOME=folder, CARAT_MAX_TOKENS="8", PATH=f"{work / 'build'}:{os.environ['PATH']}")
            for page in [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]:
                for command in commands(page):
                    with self.subTest(page=page.name, command=command):
                        found += 1
                        result = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=work, env=env, input=b"", capture_output=True, timeout=240, check=False)
                        self.assertEqual(result.returncode, 0, result.stderr)
                        self.assertTrue(result.stdout or ">" in command)
        self.assertGreater(found, 10)

    def test_pages_that_are_linked_exist(self):
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page}: {target}")
