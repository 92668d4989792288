"""The cache folder: its arrays with a JSON beside each, their identity, the lock, and what makes room."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.files import file_mark, lock
from common.image_size import Size, size_text
from common.text import bytes_text, path_text

logger = logging.getLogger(__name__)
LOCK = "builder.lock"
SPARE = 1.1  # free disk space needed, times the size of the array: run folders grow on the same disk


class NoRoom(Exception):
    """An array can't be kept; the message says why and what to do."""


class Identity(NamedTuple):
    """Identity of a list of photos and how they are processed.

    `place`: the folder of the photos, links resolved. `names`: hash of the folder, the photos' names and the
    processing. `key`: hash of `names` and of the photos' sizes and modification times.
    """

    place: str
    names: str
    key: str


def identity(paths: Sequence[str], processing: Sequence[object], more: Sequence[object] = ()) -> Identity:
    """Identity of the photos at `paths`; `processing` goes into `names` and `key`, `more` only into `key`. A
    missing photo is no error here: decoding reports it."""
    # The common folder of the first and the last path in sorted order is that of all.
    common = os.path.commonpath([os.path.dirname(min(paths)), os.path.dirname(max(paths))])
    place = os.path.realpath(common)  # the same photos, whether reached through a link or not
    names = _hash([*processing, place, (path[len(common) :] for path in paths)])
    return Identity(place, names, _hash([names, map(file_mark, paths), *more]))


def _hash(values: list[object]) -> str:
    """Of the values as JSON. An iterator is hashed as the list of its items, which are never together in
    memory."""
    whole = hashlib.sha256()
    for piece in _json(iter(values)):
        whole.update(piece.encode())
    return whole.hexdigest()[:16]


def _json(values: Iterator[object]) -> Iterator[str]:
    yield "["
    for number, value in enumerate(values):
        yield ", " if number else ""
        if isinstance(value, Iterator):
            yield from _json(value)
        else:
            yield json.dumps(value)
    yield "]"


@dataclass(frozen=True)
class ArrayInfo:
    """What an array holds, as its JSON says. `place`, `names`, `key`: see `Identity`."""

    place: str
    names: str
    key: str
    photos: int
    size: Size | None  # None for what is not decoded photos
    interpolation: str = "any"  # "any" if no photo was enlarged, so that it was not used
    crop: str = "none"
    kind: str = "faces"  # if size is None: faces (their boxes) or features

    @property
    def name(self) -> str:
        """The file name of the array."""
        if self.size is None:
            return f"{self.kind}-{self.key}.npy"
        return f"photos-{size_text(self.size)}-{self.key}-{self.interpolation}.npy"


@dataclass(frozen=True)
class Entry:
    """An array in the folder; `info` is None if its JSON is missing or of another version."""

    path: Path
    info: ArrayInfo | None
    bytes: int
    used: float  # last used, in seconds since 1970

    @property
    def size(self) -> str:
        """HEIGHTxWIDTH, 'faces' or 'features', from the file name."""
        found = re.match(r"(?:photos-)?(\d+x\d+|faces|features)-", self.path.name)
        return found[1] if found else "?"

    def remove(self) -> None:
        """Delete the array and its JSON. Processes that have it mapped keep reading it, and the disk space is
        free only after the last of them."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".json").unlink(missing_ok=True)


def write_info(path: Path, info: ArrayInfo) -> None:
    """Write the JSON beside the array at `path`."""
    path.with_suffix(".json").write_text(json.dumps(asdict(info), indent=1))


def entries(folder: Path) -> list[Entry]:
    """All arrays in the folder, the least recently used first."""
    found = []
    for path in folder.glob("*.npy"):
        with suppress(FileNotFoundError):  # removed in between
            status = path.stat()
            found.append(Entry(path, _read_info(path.with_suffix(".json")), status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def _read_info(path: Path) -> ArrayInfo | None:
    try:
        values = json.loads(path.read_text())
        return ArrayInfo(**{**values, "size": values["size"] and tuple(values["size"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def load(path: Path) -> np.ndarray | None:
    """The array at `path`, memory-mapped, and marked as used now; None if it is missing or damaged."""
    with suppress(OSError, ValueError, EOFError):
        array = np.load(path, mmap_mode="r")
        touch(path)
        return array
    return None


def touch(path: Path) -> None:
    """Mark the array as used now."""
    with suppress(OSError):  # a read-only folder, or removed in between
        os.utime(path)


@contextmanager
def only_builder(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Exclusive lock on the cache folder: one process builds at a time, so the size limit holds. Released by
    the OS if the process dies. `on_wait` is called before waiting for another process."""
    with lock(folder / LOCK, lambda _: on_wait()):
        yield


@contextmanager
def only_computer(folder: Path, wanted: ArrayInfo, on_wait: Callable[[], None]) -> Iterator[None]:
    """Exclusive lock on one array of the cache folder, while it is computed. It is taken before
    `only_builder`'s, never inside it. Released by the OS if the process dies."""
    path = folder / f"{wanted.kind}-{wanted.key}.lock"
    with lock(path, lambda _: on_wait()):
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def tidy(folder: Path) -> None:
    """Remove what killed builders left, unless another process is building."""
    with suppress(OSError), lock(folder / LOCK, _give_up):
        sweep(folder)


def _give_up(_: object) -> None:
    raise BlockingIOError


def sweep(folder: Path) -> None:
    """Remove unfinished files. Only for the process that holds the lock (`only_builder`)."""
    for path in folder.glob("*-*.lock"):
        with suppress(OSError), lock(path, _give_up):  # of a killed process
            path.unlink()
    unfinished = folder.glob("*.part")
    without_array = [path for path in folder.glob("*-*.json") if not path.with_suffix(".npy").exists()]
    for path in (*unfinished, *without_array):
        path.unlink(missing_ok=True)


def remove_outdated(folder: Path, wanted: ArrayInfo) -> bool:
    """Remove arrays of the same photos and size from before the photos changed; True if there were any."""
    old = [
        entry
        for entry in entries(folder)
        if entry.info
        and (entry.info.names, entry.info.size) == (wanted.names, wanted.size)
        and entry.info.key != wanted.key
    ]
    for entry in old:
        entry.remove()
    return bool(old)


def remove_orphans(folder: Path) -> Iterator[tuple[Entry, str]]:
    """Remove arrays whose folder of photos no longer exists; yield each array and that folder."""
    for entry in entries(folder):
        if entry.info and not os.path.isdir(entry.info.place):
            entry.remove()
            yield entry, entry.info.place


def make_room(folder: Path, need: int, limit: int) -> None:
    """Remove the least recently used arrays until `need` bytes fit below the limit and on the disk; log
    each. NoRoom, with nothing removed, if that is not enough. Face boxes are kept: small, and slow to find.
    """
    removable = [entry for entry in entries(folder) if entry.size != "faces"]
    used = sum(entry.bytes for entry in removable)
    free = shutil.disk_usage(folder).free
    if need * SPARE > free + used:
        raise NoRoom(f"the disk of {path_text(folder)} has {bytes_text(free)} free: free some space")
    for entry in removable:
        if used + need <= limit and need * SPARE <= free:
            return
        entry.remove()
        used, free = used - entry.bytes, free + entry.bytes
        removed = f"{path_text(entry.path)} ({bytes_text(entry.bytes)})"
        logger.info(f"removed {removed}, least recently used, to make room")
