"""llama.cpp to compare with: built here, for this machine, from the sources in the Python registry; and how each of its programs is asked.

Sources: the sdist of llama-cpp-python in the version and with the SHA-256 that tools/fetch_model.py pins, which holds llama.cpp whole. Build: Release, native
instructions (GGML_NATIVE), its CPU backend with its own defaults (OpenMP, repacked weights); no network, no server. Once, into build-peer/.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import fetch_model  # noqa: E402

(PACKAGE, SHA256), = fetch_model.VOCAB
VERSION = PACKAGE.split("==")[1]
PREFIX = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
FOLDER = ROOT / "build-peer"
PROGRAMS = ("llama-bench", "llama-batched-bench", "llama-completion", "llama-perplexity")
SETTINGS = ("CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", "LLAMA_BUILD_TESTS=OFF", "LLAMA_BUILD_EXAMPLES=OFF", "LLAMA_BUILD_SERVER=OFF", "LLAMA_BUILD_APP=OFF",
            "LLAMA_BUILD_UI=OFF", "LLAMA_CURL=OFF", "LLAMA_OPENSSL=OFF")


def say(text):
    print(f"peer: {text}", file=sys.stderr, flush=True)


def fetch(source):
    """The sources of llama.cpp in `source`, whole or not at all."""
    if source.exists():
        return
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=".download-") as work:
        work = pathlib.Path(work)
        archive = os.environ.get("CARAT_LLAMA_SOURCES")
        if not archive:
            say(f"downloading {PACKAGE} (77 MB) from PyPI")
            fetch_model.pip_download(fetch_model.VOCAB, work, "--no-binary", "llama-cpp-python")
            (archive,) = work.glob("llama_cpp_python-*.tar.gz")
        with tarfile.open(archive) as sources:
            wanted = [m for m in sources if m.name.startswith(PREFIX) and ".." not in m.name.split("/") and (m.isdir() or m.isfile())]
            sources.extractall(work, wanted)
        (work / PREFIX).rename(source)


def build(folder=FOLDER, jobs=None):
    """The folder with llama.cpp's programs. Fails with CalledProcessError or OSError."""
    folder = folder / VERSION
    made = folder / "build/bin"
    if all((made / name).exists() for name in PROGRAMS):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    fetch(folder / "source")
    say(f"building llama.cpp of {PACKAGE} in {folder}: some minutes, once")
    launcher = [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX")] if shutil.which("ccache") else []
    with (folder / "build.log").open("w") as log:
        for command in (["cmake", "-S", folder / "source", "-B", folder / "build", "-G", "Ninja", *(f"-D{s}" for s in SETTINGS), *launcher],
                        ["cmake", "--build", folder / "build", "-j", str(jobs or os.cpu_count()), "--target", *PROGRAMS]):
            subprocess.run(list(map(str, command)), check=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    return made


if __name__ == "__main__":
    print(build(jobs=int(os.environ.get("CARAT_PEER_JOBS", "0")) or None))
