#!/usr/bin/env python3
"""One idea a file: sizes, names, and what never belongs into a source file. Reads what git knows or would take up."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WARN, LIMIT, END = 300, 500, 800
SOURCES = (".h", ".cpp", ".py", ".cmake")
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\([^)]+\): \S)")
NAMELESS = re.compile(r"^(utils?|common|misc|helpers?|stuff)$")
SIZE_REASONS = ROOT / "tools/file_sizes.txt"
BINARY_LIMIT = 1 << 20


def files():
    listing = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def reasons():
    """path -> why it may be longer than LIMIT lines."""
    result = {}
    for line in SIZE_REASONS.read_text().splitlines():
        if line and not line.startswith("#"):
            path, _, reason = (part.strip() for part in line.partition("|"))
            if not reason:
                sys.exit(f"{SIZE_REASONS.name}: {path} needs a reason: 'path | reason'")
            result[path] = reason
    return result


def check_source(name, text, long_files):
    lines = text.splitlines()
    if name.endswith((".h", ".cpp")):
        if len(lines) > END or (len(lines) > LIMIT and name not in long_files):
            yield f"{name}: {len(lines)} lines: split it (one idea a file), or explain it in tools/file_sizes.txt (up to {END})"
        if name.endswith(".h") and "#pragma once" not in lines[:3]:
            yield f"{name}: does not begin with #pragma once"
    if text and not text.endswith("\n"):
        yield f"{name}: the last line does not end"
    for number, line in enumerate(lines, 1):
        if "\t" in line and not name.startswith("tests/"):
            yield f"{name}:{number}: a tab"
        if line != line.rstrip():
            yield f"{name}:{number}: blanks at the end of the line"
        if name != "tools/check_files.py" and TODO.search(line):
            yield f"{name}:{number}: a TODO says whose or which: TODO(what it waits for): text"


def main():
    long_files = reasons()
    problems, warnings = [], []
    names = files()
    for name in names:
        path = Path(name)
        if any(NAMELESS.match(part.split(".")[0]) for part in path.parts):
            problems.append(f"{name}: a name that says nothing: code without a room has not been understood yet")
        if path.suffix not in SOURCES and path.name != "CMakeLists.txt":
            if (ROOT / name).stat().st_size > BINARY_LIMIT:
                problems.append(f"{name}: above 1 MiB: tests make or fetch what is large")
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        problems += check_source(name, text, long_files)
        if name.startswith("src/") and WARN < text.count("\n") <= LIMIT:
            warnings.append(f"{name}: {text.count(chr(10))} lines, aim below {WARN}")
    problems += [f"tools/file_sizes.txt: {name} is not there any more" for name in long_files if name not in names]
    for warning in warnings:
        print(f"check_files: warning: {warning}", file=sys.stderr)
    for problem in problems:
        print(f"check_files: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
