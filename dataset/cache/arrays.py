"""Photos decoded once into a memory-mapped array, shared by all trials and folds at one size."""

import errno
import hashlib
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.image_size import size_text
from common.machine import PROJECT
from dataset.boxes import Crop
from dataset.cache.build import build, only_builder
from dataset.cache.identity import identity
from dataset.cache.store import (
    Holds,
    NoRoom,
    amount,
    make_room,
    remove_lost,
    remove_outdated,
    shown,
    sweep,
    touch,
)
from dataset.pixels import read_to_size

CACHE = PROJECT / "out" / "cache"
LIMIT = 20 * 2**30  # bytes
DECODING = 1  # to be raised where read_to_size comes to give other pixels: older arrays are not used then


@dataclass(frozen=True)
class Uncached:
    """Photos that are decoded whenever they are asked for, to the pixels that `cached` would keep."""

    paths: Sequence[str]
    size: tuple[int, int]
    interpolation: str
    crop: Crop | None = None

    def read(self, row: int) -> np.ndarray:
        """uint8 (height, width, 3) of one photo; UsageError names a file that is no photo."""
        box = self.crop.boxes[row] if self.crop else None
        return read_to_size(self.paths[row], self.size, self.interpolation, box)[0]


def cached(
    paths: Sequence[str],
    size: tuple[int, int],
    interpolation: str,
    folder: Path = CACHE,
    limit: int = LIMIT,
    crop: Crop | None = None,
) -> np.ndarray | None:
    """uint8 (photos, height, width, 3), read-only and memory-mapped, in the order of `paths`.

    Cropped, then resized. Built once for these photos (known by their paths, sizes and times), size,
    interpolation and crop. One process builds at a time, the others wait for it. `limit`: bytes of all arrays
    in `folder`; those whose photos are gone, then the least recently used make room. None, and a line on
    stderr that says why, where the array alone is over the limit or the disk has no room for it; the photos
    are then decoded each time (`limit=0`: as wanted, without a line). UsageError names every file that is
    no photo.
    """
    if limit <= 0:
        return None
    wanted = _wanted(paths, size, interpolation, crop)
    if (array := _open(folder, wanted)) is not None:
        return array
    need = len(paths) * size[0] * size[1] * 3
    try:
        if need > limit:
            more = math.ceil(need / 2**30)
            allow = f"allow {more} GiB (cache_limit={more}; python -m dataset cache: --limit {more})"
            raise NoRoom(f"over the limit of {amount(limit)}: {allow}")
        folder.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another process that decodes photos into {shown(folder)}"
        with only_builder(folder, lambda: _say(waiting)):
            if (array := _open(folder, wanted)) is not None:  # built while this process waited
                return array
            sweep(folder)
            if remove_outdated(folder, wanted):
                _say(
                    f"photos in {shown(wanted.place)} changed since they were decoded; they are decoded anew"
                )
            for lost, place in remove_lost(folder):
                _say(f"removed {shown(lost.path)}: its photos in {shown(place)} are gone")
            for gone in make_room(folder, need, limit):
                _say(f"removed {shown(gone.path)} ({amount(gone.bytes)}), least recently used, to make room")
            what = f"{len(paths)} photos to {size_text(size)}" + (f" ({crop.text})" if crop else "")
            _say(f"decoding {what} once, into {shown(folder)} ({amount(need)})")
            build(folder, wanted, paths, crop)
            return _open(folder, wanted)
    except NoRoom as why:
        reason = str(why)
    except OSError as error:
        reason = f"{shown(folder)} can't be written to ({error.strerror}): mend that"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk of {shown(folder)} is full: free some space"
    what = f"{len(paths)} photos at {size_text(size)} ({amount(need)})"
    _say(f"{what} are not kept, {reason}; until then they are decoded every time")
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wanted(paths: Sequence[str], size: tuple[int, int], interpolation: str, crop: Crop | None) -> Holds:
    how: list[Any] = [DECODING]
    more = []
    if crop is not None:
        how.append(crop.text)
        more.append(hashlib.sha256(crop.boxes.tobytes()).hexdigest())
    known = identity(paths, how, more)
    return Holds(*known, len(paths), (size[0], size[1]), interpolation, crop.text if crop else "none")


def _open(folder: Path, wanted: Holds) -> np.ndarray | None:
    for holds in (replace(wanted, interpolation="any"), wanted):
        path = folder / holds.name
        with suppress(OSError, ValueError, EOFError):  # not there, or damaged: built anew
            array = np.load(path, mmap_mode="r")
            touch(path)
            return array
    return None
