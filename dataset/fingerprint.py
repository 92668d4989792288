"""A hash of a data set, kept with every run to tell which data it has seen."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import mark_of, sha256_of
from dataset.formats import class_folders, photos_csv
from dataset.photo_file import is_system_file

HALVES = (*class_folders.TRAIN, *class_folders.EVAL)


def fingerprint(data: Path) -> str:
    """SHA-256 (64 hex digits) of the path within the set, size and modification time of every file in the
    folders of photos to train on and to predict (HALVES); of all files beside a photos.csv.

    Every call lists the folders again (0.1 s for 31,500 files): a file that was added, removed, replaced or
    rewritten in place always changes the result. UsageError if `data` is not a folder.
    """
    lines = [f"{name}\t{size}\t{time}" for name, size, time in _listed(Path(data))]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def content(data: Path) -> dict[str, Any]:
    """{"files", "bytes", "sha256"} of the same files, by name and content: the same for every copy of the
    data. All are read."""
    whole, size = hashlib.sha256(), 0
    listed = _listed(Path(data))
    for name, bytes_, _ in listed:
        whole.update(f"{name}\t{sha256_of(Path(data, name))}\n".encode("utf-8", "surrogateescape"))
        size += bytes_
    return {"files": len(listed), "bytes": size, "sha256": whole.hexdigest()}


def _listed(data: Path) -> list[tuple[str, int, int]]:
    """(path within the set, bytes, modification time) of its files."""
    if not data.is_dir():
        raise UsageError(f"no folder {data.absolute()}; give the folder of a data set")
    if os.path.lexists(data / photos_csv.NAME):
        return list(_files(str(data), "."))
    halves = [half for half in HALVES if (data / half).is_dir()]
    return [line for half in halves for line in _files(str(data / half), half)]


def _files(folder: str, inside: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, int, int]]:
    """Each file below `folder`, without hidden and system files. Links are followed, unless they lead
    to a folder that contains them (`above`)."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    above = (*above, folder)
    for entry in entries:
        if is_system_file(entry.name):
            continue
        name = f"{inside}/{entry.name}"
        try:
            status = entry.stat()
        except OSError:  # a broken link, or one to itself
            continue
        if stat.S_ISDIR(status.st_mode):
            if not entry.is_symlink() or os.path.realpath(entry.path) not in map(os.path.realpath, above):
                yield from _files(entry.path, name, above)
        elif stat.S_ISREG(status.st_mode):
            size, time = mark_of(status)
            yield name, size, time
