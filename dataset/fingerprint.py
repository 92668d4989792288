"""One short text that says which data a run has seen."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from common.errors import UsageError
from dataset.photo_file import is_system_file


def fingerprint(data: Path) -> str:
    """64 hex digits over path (within the set), size and time of every file in train/ and eval/.

    Gone through afresh each time (a tenth of a second for 31,500 files), so that a file added, removed,
    replaced or rewritten in place is always noticed.
    """
    data = Path(data)
    if not data.is_dir():
        raise UsageError(f"no folder {data.absolute()}; give the folder that holds train/ and eval/")
    halves = [half for half in ("train", "eval") if (data / half).is_dir()]
    lines = [line for half in halves for line in _files(str(data / half), half)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _files(folder: str, inside: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """A line for each file below `folder`, hidden and system files left out; links are followed, but not to a
    folder that they lie in (`above`)."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    above = (*above, folder)
    for entry in entries:
        if is_system_file(entry.name):
            continue
        name = f"{inside}/{entry.name}"
        try:
            facts = entry.stat()
        except OSError:  # a link that leads nowhere, or to itself
            continue
        if stat.S_ISDIR(facts.st_mode):
            if not entry.is_symlink() or os.path.realpath(entry.path) not in map(os.path.realpath, above):
                yield from _files(entry.path, name, above)
        elif stat.S_ISREG(facts.st_mode):
            yield f"{name}\t{facts.st_size}\t{facts.st_mtime_ns}"
