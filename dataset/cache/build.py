"""Photos -> one array on the disk, whole or not at all, by one process at a time."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.files import lock
from common.machine import cores
from common.progress import track
from dataset.boxes import Crop
from dataset.cache.store import LOCK, Holds, note, sweep
from dataset.pixels import read_to_size


@contextmanager
def only_builder(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Exclusive lock on the cache folder: one process builds at a time, so that the size limit holds."""
    with lock(folder / LOCK, lambda _: on_wait()):
        yield


def tidy(folder: Path) -> None:
    """Removes what killed builders left, unless one is at work."""
    with suppress(OSError), lock(folder / LOCK, _give_up):
        sweep(folder)


def _give_up(_: object) -> None:
    raise BlockingIOError


def build(folder: Path, wanted: Holds, paths: Sequence[str], crop: Crop | None = None) -> None:
    """Decodes `paths`, cropped, into the array `wanted` and its JSON; only for who holds the builder's lock.

    OSError where the disk gives no more, UsageError names every file that is no photo; then nothing is
    left.
    """
    assert wanted.size is not None
    size = height, width = wanted.size
    part = folder / f"{wanted.key}.part"
    errors: list[str] = []
    interpolated = set()
    try:
        # Written with pwrite, not through a map: there, a full disk would kill the process.
        with part.open("wb", buffering=0) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), height, width, 3)}
            np.lib.format.write_array_header_1_0(file, header)
            start, step = file.tell(), height * width * 3
            _reserve(file.fileno(), start + step * len(paths))

            def decode(row: int) -> None:
                try:
                    box = crop.boxes[row] if crop else None
                    photo, by_interpolation = read_to_size(paths[row], size, wanted.interpolation, box)
                except UsageError as error:
                    errors.extend(error.errors)
                    return
                interpolated.add(by_interpolation)
                if os.pwrite(file.fileno(), photo.data, start + row * step) != step:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            _in_threads(decode, len(paths))
            os.fsync(file.fileno())
        if errors:
            raise UsageError(sorted(set(errors)))
        holds = wanted if True in interpolated else replace(wanted, interpolation="any")
        note(folder / holds.name, holds)
        os.replace(part, folder / holds.name)
    finally:
        sweep(folder)


def _reserve(file: int, size: int) -> None:
    """So that a disk that is too small says it now, not in ten minutes (macOS: only while writing)."""
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is None:
        return
    try:
        reserve(file, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def _in_threads(decode: Callable[[int], None], count: int) -> None:
    """The first that fails (a full disk, Ctrl-C) ends it: `map` gives up those that have not begun."""
    rows = range(count)
    with ThreadPoolExecutor(cores()) as threads:
        for _ in zip(track(rows, "decoding photos"), threads.map(decode, rows), strict=True):
            pass
