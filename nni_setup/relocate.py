"""Makes the paths in an environment relative: programs to the Python beside them, the editable install to the
project around it. A moved or copied project then works at once and never imports the one it came from."""

import os
import re
import sys
import sysconfig
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


def relocate_editable(site: Path, project: Path) -> None:
    """Write the path of `project`, in the .pth file of its editable install, relative to `site`.

    Python reads a line of a .pth file as relative to the file's folder. Other projects' paths are kept.
    """
    for file in site.glob("__editable__.*.pth"):
        if file.read_text(errors="surrogateescape").strip() == str(project):
            file.write_text(os.path.relpath(project, site) + "\n")


if __name__ == "__main__":
    relocate(Path(sys.prefix) / "bin")
    relocate_editable(Path(sysconfig.get_path("purelib")), Path(sys.prefix).parent)
