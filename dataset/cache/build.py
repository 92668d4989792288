"""Decode photos into one array file, whole or not at all."""

import errno
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.progress import track
from common.threads import in_threads
from dataset.boxes import Crop
from dataset.cache.store import ArrayInfo, sweep, write_info
from dataset.pixels import read_to_size


def build(folder: Path, wanted: ArrayInfo, paths: Sequence[str], crop: Crop | None = None) -> None:
    """Decode the photos at `paths`, crop and resize them into the array `wanted`, and write its JSON.

    Only for the process that holds the lock (`only_builder`). OSError if the disk is full or fails,
    UsageError with every file that is not an image; nothing is left in the folder then.
    """
    assert wanted.size is not None
    size = height, width = wanted.size
    part = folder / f"{wanted.key}.part"
    errors: list[str] = []
    interpolated = set()
    try:
        # Written with pwrite, not through a memory map: there, a full disk would kill the process (SIGBUS).
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

            rows = range(len(paths))
            # Closed before the file is, after a full disk or Ctrl-C too: no thread writes any more then.
            with closing(in_threads(decode, rows)) as decoded:
                for _ in zip(track(rows, "decoding photos"), decoded, strict=True):
                    pass
            os.fsync(file.fileno())
        if errors:
            raise UsageError(sorted(set(errors)))
        info = wanted if True in interpolated else replace(wanted, interpolation="any")
        write_info(folder / info.name, info)
        os.replace(part, folder / info.name)
    finally:
        sweep(folder)


def _reserve(file: int, size: int) -> None:
    """Reserve disk space, so that a full disk is an error now and not in ten minutes. Not on macOS."""
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is None:
        return
    try:
        reserve(file, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
