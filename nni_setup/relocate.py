"""Lets an environment's programs find the Python beside them: a moved or copied project still works."""

import re
import sys
from pathlib import Path

# What pip writes: a plain line, or, for paths that are long or hold spaces, three lines that pass through sh.
WRITTEN_BY_PIP = re.compile(
    rb"\A(?:#!/bin/sh\n'''exec' [^\n]*/python[\d.]*[^\n]*\n' '''\n|#![^\n]*/\.venv/bin/python[\d.]*[^\n]*\n)"
)
# Both sh and Python can read these lines: to Python they are a string.
RELATIVE = b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n"


def relocate(programs: Path) -> int:
    """Point every Python script in the folder `programs` at the Python beside it; how many were changed."""
    changed = 0
    for script in programs.iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        text = script.read_bytes()
        mended = WRITTEN_BY_PIP.sub(lambda _: RELATIVE, text)
        if mended != text:
            script.write_bytes(mended)
            changed += 1
    return changed


if __name__ == "__main__":
    relocate(Path(sys.prefix) / "bin")
