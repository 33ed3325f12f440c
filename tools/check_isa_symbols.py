#!/usr/bin/env python3
"""Proves that no wide instruction leaks out of src/kernels/targets: each object there is compiled for one instruction set, and
a symbol that it shared with another object (an inline function, a template) could be the copy the linker keeps for all.

    check_isa_symbols.py BUILD_FOLDER

Each object may define for others nothing but its table function (strong symbols, defined once) and constants (weak data is the
same bytes in every copy); it may give away no weak function, and want nothing of the C++ standard library.
"""
import re
import subprocess
import sys
from pathlib import Path

# What a compiler may call by itself for plain code, and the constants the linker makes.
WANTED = re.compile(r"^(mem(cpy|set|move|cmp)|fmaf?|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(asan|ubsan|tsan|sanitizer)_\w+|__tls_get_addr)$")


def symbols(path):
    """(kind, name) of each symbol that crosses the borders of an object."""
    listing = subprocess.run(["nm", "--extern-only", "--format=posix", path], check=True, capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        fields = line.split()
        if len(fields) >= 2:
            yield fields[1], fields[0]


def demangle(name):
    return subprocess.run(["c++filt", name], check=True, capture_output=True, text=True).stdout.strip()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    objects = sorted(Path(sys.argv[1]).rglob("*.o"))
    targets = [path for path in objects if "/kernels/targets/" in path.as_posix()]
    if not targets:
        sys.exit(f"check_isa_symbols: no objects of src/kernels/targets in {sys.argv[1]}: build first")
    defined = {}
    for path in objects:
        for kind, name in symbols(path):
            if kind not in "Uw":
                defined.setdefault(name, set()).add(path)
    problems = []
    for path in targets:
        for kind, name in symbols(path):
            if kind in "Uw":
                if not WANTED.match(name):
                    problems.append(f"{path.name} wants {demangle(name)}")
            elif kind in "Vu":
                continue
            elif kind == "W":
                problems.append(f"{path.name} gives away the weak function {demangle(name)}: put it into an unnamed namespace")
            elif len(defined[name]) > 1:
                problems.append(f"{demangle(name)} is defined in {', '.join(sorted(p.name for p in defined[name]))}")
    for problem in problems[:40]:
        print(f"check_isa_symbols: {problem}", file=sys.stderr)
    if len(problems) > 40:
        print(f"check_isa_symbols: and {len(problems) - 40} more", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
