"""A hash of a data set, kept with every run to tell which data it has seen."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import mark_of, sha256_of
from dataset.formats import photos_csv
from dataset.formats.labelled import EVAL, TRAIN
from dataset.photo_file import is_system_file

HALVES = (*TRAIN, *EVAL)


def fingerprint(data: Path) -> str:
    """SHA-256 (64 hex digits) of the path within the set, size and modification time of every file in the
    folders of photos to train on and to predict (HALVES); of a photos.csv and the files that it names.

    Every call looks at the files again (0.1 s for 31,500): one that was added, removed, replaced or rewritten
    in place always changes the result. UsageError if `data` is not a folder.
    """
    whole, between = hashlib.sha256(), ""
    for name, size, time in _listed(Path(data)):
        whole.update(f"{between}{name}\t{size}\t{time}".encode("utf-8", "surrogateescape"))
        between = "\n"
    return whole.hexdigest()


def content(data: Path) -> dict[str, Any]:
    """{"files", "bytes", "sha256"} of the same files, by name and content: the same for every copy of the
    data. All are read."""
    whole, files, size = hashlib.sha256(), 0, 0
    for name, bytes_, _ in _listed(Path(data)):
        whole.update(f"{name}\t{sha256_of(Path(data, name))}\n".encode("utf-8", "surrogateescape"))
        files, size = files + 1, size + bytes_
    return {"files": files, "bytes": size, "sha256": whole.hexdigest()}


def _listed(data: Path) -> Iterator[tuple[str, int, int]]:
    """(path within the set, bytes, modification time) of its files, one by one."""
    if not data.is_dir():
        raise UsageError(f"no folder {data.absolute()}; give the folder of a data set")
    if os.path.lexists(data / photos_csv.NAME):
        names = {photos_csv.NAME, *photos_csv.named(data)}
        for name in sorted(names, key=lambda name: name.split("/")):  # as folders are listed
            with suppress(OSError):  # the CSV names a file that is not there
                status = os.stat(f"{data}/{name}")
                if stat.S_ISREG(status.st_mode):
                    yield f"./{name}", *mark_of(status)
        return
    for half in HALVES:
        if (data / half).is_dir():
            yield from _files(str(data / half), half)


def _files(folder: str, inside: str, above: tuple[str, ...] = ()) -> Iterator[tuple[str, int, int]]:
    """Each file below `folder`, without hidden and system files. Links are followed, unless they lead
    to a folder that contains them (`above`)."""
    above = (*above, folder)
    for file in sorted(os.listdir(folder)):
        if is_system_file(file):
            continue
        name, path = f"{inside}/{file}", f"{folder}/{file}"
        try:
            status = os.stat(path)
        except OSError:  # a broken link, or one to itself
            continue
        if stat.S_ISDIR(status.st_mode):
            if not os.path.islink(path) or os.path.realpath(path) not in map(os.path.realpath, above):
                yield from _files(path, name, above)
        elif stat.S_ISREG(status.st_mode):
            size, time = mark_of(status)
            yield name, size, time
