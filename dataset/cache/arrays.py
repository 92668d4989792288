"""Photos decoded once into a memory-mapped array, which all trials and folds at that size share."""

import errno
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.image_size import Size, size_text
from common.machine import PROJECT
from common.text import bytes_text, path_text
from dataset.boxes import Crop
from dataset.cache.build import build
from dataset.cache.store import (
    ArrayInfo,
    NoRoom,
    identity,
    load,
    make_room,
    only_builder,
    remove_orphans,
    remove_outdated,
    sweep,
)
from dataset.pixels import read_to_size

CACHE = PROJECT / "out" / "cache"
LIMIT = 20 * 2**30  # bytes
DECODING = 1  # version of read_to_size: raise it if the pixels change, so that older arrays are not used

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Uncached:
    """Photos that are decoded at each access, to the same pixels as those of `cached`."""

    paths: Sequence[str]
    size: Size
    interpolation: str
    crop: Crop | None = None

    def read(self, row: int) -> np.ndarray:
        """uint8 (height, width, 3) of one photo in RGB; UsageError names a file that is not an image."""
        box = self.crop.boxes[row] if self.crop else None
        return read_to_size(self.paths[row], self.size, self.interpolation, box)[0]


def cached(
    paths: Sequence[str],
    size: Size,
    interpolation: str,
    folder: Path | None = None,
    limit: int = LIMIT,
    crop: Crop | None = None,
) -> np.ndarray | None:
    """The photos at `paths`, cropped, then resized: uint8 (photos, height, width, 3) in RGB, read-only and
    memory-mapped, in the order of `paths`.

    Built once in `folder` (None: CACHE) for these photos (identified by path, size and modification time),
    size, interpolation and crop. One process builds at a time, others wait for it. `limit`: bytes of all
    arrays in `folder` but face boxes; to make room, arrays whose photos are gone are removed first, then the
    least recently used ones.

    Returns None if the array alone is over the limit or does not fit on the disk, with a warning in the log;
    the caller then decodes the photos each time. With `limit=0` it returns None without a warning. UsageError
    lists every file that is not an image.
    """
    if limit <= 0:
        return None
    folder = folder or CACHE
    wanted = _wanted(paths, size, interpolation, crop)
    if (array := _open(folder, wanted)) is not None:
        return array
    need = len(paths) * size[0] * size[1] * 3
    where = path_text(folder)
    try:
        if need > limit:
            more = math.ceil(need / 2**30)
            allow = f"allow {more} GiB (cache_limit={more}; python -m dataset cache: --limit {more})"
            raise NoRoom(f"over the limit of {bytes_text(limit)}: {allow}")
        folder.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another process that decodes photos into {where}"
        with only_builder(folder, lambda: logger.info(waiting)):
            if (array := _open(folder, wanted)) is not None:  # built while this process waited
                return array
            sweep(folder)
            if remove_outdated(folder, wanted):
                changed = path_text(wanted.place)
                logger.info(f"photos in {changed} changed since they were decoded; they are decoded again")
            for entry, place in remove_orphans(folder):
                logger.info(f"removed {path_text(entry.path)}: its photos in {path_text(place)} are gone")
            make_room(folder, need, limit)
            what = f"{len(paths)} photos to {size_text(size)}" + (f" ({crop.text})" if crop else "")
            logger.info(f"decoding {what} once, into {where} ({bytes_text(need)})")
            build(folder, wanted, paths, crop)
            return _open(folder, wanted)
    except NoRoom as error:
        reason = str(error)
    except OSError as error:
        reason = f"{where} can't be written to ({error.strerror}): fix that"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk of {where} is full: free some space"
    what = f"{len(paths)} photos at {size_text(size)} ({bytes_text(need)})"
    logger.warning(f"{what} are not cached, {reason}; until then they are decoded every time")
    return None


def _wanted(paths: Sequence[str], size: Size, interpolation: str, crop: Crop | None) -> ArrayInfo:
    processing: list[Any] = [DECODING]
    more = []
    if crop is not None:
        processing.append(crop.text)
        more.append(crop.mark)
    photos = identity(paths, processing, more)
    return ArrayInfo(*photos, len(paths), (size[0], size[1]), interpolation, crop.text if crop else "none")


def _open(folder: Path, wanted: ArrayInfo) -> np.ndarray | None:
    for info in (replace(wanted, interpolation="any"), wanted):
        if (array := load(folder / info.name)) is not None:  # else it is built again
            return array
    return None
