"""One short text that says which data a run has seen."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from dataset.errors import CallersMistake


def fingerprint(data: Path) -> str:
    """64 hex digits over path (within the set), size and time of every file in train/ and eval/.

    Gone through afresh each time (a tenth of a second for 31,500 files), so that a file added, removed,
    replaced or rewritten in place is always noticed.
    """
    data = Path(data)
    if not data.is_dir():
        raise CallersMistake(f"no folder {data.absolute()}; give the folder that holds train/ and eval/")
    halves = [half for half in ("train", "eval") if (data / half).is_dir()]
    lines = [line for half in halves for line in _files(str(data / half), half)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _files(folder: str, inside: str) -> Iterator[str]:
    """A line for each file below `folder`, hidden ones left out; links are followed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        name = f"{inside}/{entry.name}"
        if entry.is_dir():
            yield from _files(entry.path, name)
        elif entry.is_file():  # no link that leads nowhere
            facts = entry.stat()
            yield f"{name}\t{facts.st_size}\t{facts.st_mtime_ns}"
