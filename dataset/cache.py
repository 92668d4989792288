"""Photos decoded once into a memory-mapped array, shared by all trials and folds at one size."""

import errno
import hashlib
import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from dataset.builder import build, only_builder
from dataset.machine import PROJECT
from dataset.pixels import read_to_size
from dataset.shelf import (
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

CACHE = PROJECT / "out" / "cache"
LIMIT = 20 * 2**30  # bytes
DECODING = 1  # to be raised where read_to_size comes to give other pixels: older arrays are not used then


def read_resized(path: str, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """uint8 (height, width, 3) of one photo; CallersMistake names a file that is no photo."""
    return read_to_size(path, size, interpolation)[0]


def cached(
    paths: Sequence[str],
    size: tuple[int, int],
    interpolation: str,
    folder: Path = CACHE,
    limit: int = LIMIT,
) -> np.ndarray | None:
    """uint8 (photos, height, width, 3), read-only and memory-mapped, in the order of `paths`.

    Built once for these photos (known by their paths, sizes and times), size and interpolation. One process
    builds at a time, the others wait for it. `limit`: bytes of all arrays in `folder`; those whose photos
    are gone, then the least recently used make room. None, and a line on stderr that says why, where the
    array alone is over the limit or the disk has no room for it; the photos are then decoded each time
    (`limit=0`: as wanted, without a line). CallersMistake names every file that is no photo.
    """
    if limit <= 0:
        return None
    wanted = _wanted(paths, size, interpolation)
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
            what = f"{len(paths)} photos to {size[0]}x{size[1]}"
            _say(f"decoding {what} once, into {shown(folder)} ({amount(need)})")
            build(folder, wanted, paths)
            return _open(folder, wanted)
    except NoRoom as why:
        reason = str(why)
    except OSError as error:
        reason = f"{shown(folder)} can't be written to ({error.strerror}): mend that"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk of {shown(folder)} is full: free some space"
    what = f"{len(paths)} photos at {size[0]}x{size[1]} ({amount(need)})"
    _say(f"{what} are not kept, {reason}; until then they are decoded every time")
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _wanted(paths: Sequence[str], size: tuple[int, int], interpolation: str) -> Holds:
    # What the first and the last have in common, all have.
    common = os.path.commonpath([os.path.dirname(min(paths)), os.path.dirname(max(paths))])
    place = os.path.realpath(common)  # through a link or not, they are the same photos
    names = _hash([DECODING, place, [path[len(common) :] for path in paths]])
    key = _hash([names, [_mark(path) for path in paths]])
    return Holds(place, len(paths), (size[0], size[1]), interpolation, names, key)


def _mark(path: str) -> tuple[int, int] | None:
    """What changes with the photo; None where there is none, which the builder will say."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _hash(facts: list) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _open(folder: Path, wanted: Holds) -> np.ndarray | None:
    for holds in (replace(wanted, interpolation="any"), wanted):
        path = folder / holds.name
        with suppress(OSError, ValueError, EOFError):  # not there, or damaged: built anew
            array = np.load(path, mmap_mode="r")
            touch(path)
            return array
    return None
