"""Photos decoded once into a memory-mapped array, shared by all trials at one size."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dataset.errors import CallersMistake
from dataset.pixels import read_photo, resize

CACHE = Path(__file__).resolve().parent.parent / "out" / "cache"
LIMIT = 4 * 2**30  # bytes; a larger set is decoded by the loader's workers instead


def read_resized(path: str, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """uint8 (height, width, 3) of one photo; CallersMistake names a file that is no photo."""
    return resize(read_photo(path), size, interpolation)


def cached(
    paths: Sequence[str],
    size: tuple[int, int],
    interpolation: str,
    data_fingerprint: str,
    folder: Path = CACHE,
) -> np.ndarray | None:
    """uint8 (photos, height, width, 3), read-only and memory-mapped, in the order of `paths`.

    Built once for these photos (known by the fingerprint of their set), size and interpolation; a second
    builder waits for the first. None where the set is over LIMIT or the disk has no room for it; the photos
    are then decoded each time.
    CallersMistake names every file that is no photo.
    """
    need = len(paths) * size[0] * size[1] * 3
    key = hashlib.sha256(
        json.dumps([data_fingerprint, size, interpolation, list(paths)]).encode()
    ).hexdigest()
    path = folder / f"photos-{size[0]}x{size[1]}-{key[:16]}.npy"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None  # a read-only place
        with (folder / f"{path.stem}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                if need > LIMIT or need * 1.1 > shutil.disk_usage(folder).free:
                    return None
                _build(path, paths, size, interpolation)
    return np.load(path, mmap_mode="r")


def _build(path: Path, paths: Sequence[str], size: tuple[int, int], interpolation: str) -> None:
    part = path.with_suffix(".part")
    faults: list[str] = []
    try:
        array = np.lib.format.open_memmap(part, "w+", np.uint8, (len(paths), *size, 3))

        def decode(row: int) -> None:
            try:
                array[row] = read_resized(paths[row], size, interpolation)
            except CallersMistake as mistake:
                faults.extend(mistake.faults)

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(decode, range(len(paths))))
        array.flush()
        if faults:
            raise CallersMistake(sorted(faults))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
