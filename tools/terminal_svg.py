#!/usr/bin/env python3
"""Draws what commands print, as an SVG of a terminal: terminal_svg.py OUT.svg COMMAND...  Each COMMAND is run by the shell and shown with its output."""
import html
import subprocess
import sys
import textwrap
from pathlib import Path

COLUMNS, SIZE, LINE, MARGIN, BAR = 100, 14, 20, 18, 34
BACKGROUND, PLAIN, PROMPT, TITLE = "#1d2129", "#d7dce5", "#7fd18b", "#8a93a5"


def lines_of(commands):
    """(text, is it what was typed)"""
    for command in commands:
        for row in textwrap.wrap(f"$ {command}", COLUMNS, subsequent_indent="    ", break_on_hyphens=False):
            yield row, True
        shown = subprocess.run(command, shell=True, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        for line in shown.rstrip("\n").split("\n"):
            for row in textwrap.wrap(line, COLUMNS, drop_whitespace=False, replace_whitespace=False) or [""]:
                yield row, False
        yield "", False


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    rows = list(lines_of(sys.argv[2:]))[:-1]
    width, height = int(COLUMNS * SIZE * 0.602) + 2 * MARGIN, BAR + len(rows) * LINE + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
           f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>']
    out += [f'<circle cx="{MARGIN + 18 * i}" cy="{BAR // 2}" r="5" fill="{TITLE}" opacity="0.6"/>' for i in range(3)]
    out.append(f'<g font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="{SIZE}" xml:space="preserve">')
    for number, (text, typed) in enumerate(rows):
        y = BAR + MARGIN + (number + 1) * LINE - 6
        out.append(f'<text x="{MARGIN}" y="{y}" fill="{PROMPT if typed else PLAIN}">{html.escape(text)}</text>')
    out.append("</g></svg>")
    Path(sys.argv[1]).write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
