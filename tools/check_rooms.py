#!/usr/bin/env python3
"""Holds every #include of src/ and tests/ against src/rooms.txt: a room includes only what its own line names."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# Libraries that stay behind the files of one room (the first part of the include's path).
HOMES = {"CLI": {"cli"}, "curl": {"hub"}, "simdjson.h": {"base", "formats", "text"}, "immintrin.h": {"kernels"}, "x86intrin.h": {"kernels"}, "arm_neon.h": {"kernels"}}


def read_rooms():
    """room -> the rooms it may include, itself among them."""
    rooms = {}
    for line in (ROOT / "src/rooms.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) != 3 or not cells[2]:
                sys.exit(f"src/rooms.txt: '{line}' is not 'room | may include | purpose'")
            rooms[cells[0]] = set(cells[1].split())
    for room, allowed in rooms.items():
        unknown = allowed - rooms.keys()
        if unknown:
            sys.exit(f"src/rooms.txt: {room} names rooms that have no line: {' '.join(sorted(unknown))}")
        allowed |= {room, "base"}
        if room != "telemetry":
            allowed.add("tensor")
    allowed_for_base = rooms["base"]
    allowed_for_base.discard("tensor")
    return rooms


def cycles(rooms):
    """A room that can reach itself through others."""
    for start in rooms:
        seen, todo = set(), [(room, [start]) for room in rooms[start] - {start, "base", "tensor"}]
        while todo:
            room, path = todo.pop()
            if room == start:
                yield " -> ".join([*path, start])
                break
            if room not in seen:
                seen.add(room)
                todo += [(following, [*path, room]) for following in rooms[room] - {room, "base", "tensor"}]


def problems_of(path, room, rooms, in_tests):
    allowed = rooms[room] | ({"support"} if in_tests else set())
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        where = f"{path.relative_to(ROOT)}:{number}"
        first = match[2].split("/")[0]
        if match[1] == "<":
            if first in rooms and "/" in match[2]:
                yield f"{where}: <{match[2]}> is ours: write \"{match[2]}\""
            if first in HOMES and room not in HOMES[first]:
                yield f"{where}: <{match[2]}> stays within {', '.join(sorted(HOMES[first]))}"
            if first in ("gtest", "gmock") and not in_tests:
                yield f"{where}: <{match[2]}> belongs into tests/"
        elif "/" not in match[2] or first not in rooms.keys() | {"support"} or ".." in match[2]:
            if not (in_tests and (path.parent / match[2]).exists()):
                yield f"{where}: \"{match[2]}\" does not begin with a room: includes are written from src/"
        elif first not in allowed:
            yield f"{where}: {room} may not include {first} (src/rooms.txt allows {' '.join(sorted(allowed))})"


def main():
    rooms = read_rooms()
    problems = [f"src/rooms.txt: rooms include each other in a ring: {ring}" for ring in cycles(rooms)]
    checked = 0
    for base, in_tests in ((ROOT / "src", False), (ROOT / "tests", True)):
        for folder in sorted(base.iterdir()) if base.exists() else []:
            files = sorted(path for path in folder.rglob("*") if path.suffix in (".h", ".cpp", ".inc"))
            if folder.name not in rooms:
                if not in_tests and files:
                    problems.append(f"src/{folder.name}/ has no line in src/rooms.txt")
                continue
            for path in files:
                checked += 1
                problems += problems_of(path, folder.name, rooms, in_tests)
    for problem in problems:
        print(f"check_rooms: {problem}", file=sys.stderr)
    if checked == 0:
        sys.exit("check_rooms: there was nothing to check")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
