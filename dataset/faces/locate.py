"""Where the face is in each photo of a set: looked for once, kept beside the decoded photos."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.image_size import Size
from common.progress import track
from dataset import boxes
from dataset.cache import arrays
from dataset.cache.build import only_builder
from dataset.cache.identity import identity
from dataset.cache.store import Holds, note, remove_outdated, shown, sweep, touch
from dataset.faces.detector import find_faces
from dataset.pixels import read_photo, resize

HEIGHT = 256  # pixels, of the photos that are searched
BATCH = 64
WORKERS = 2  # threads: one reads photos while the other has the detector
DETECTING = 1  # to be raised where other faces come to be found: what was kept is not used then


def face_crop(paths: Sequence[str], size: Size, margin: float, height: float, width: float) -> boxes.Crop:
    """The box around the face of each photo, else around its middle (`boxes.around`); says how many."""
    faces = faces_in(paths)
    found = len(faces) - int(np.isnan(faces[:, 0]).sum())
    others = "" if found == len(faces) else f"; the other {len(faces) - found:,} are cropped to the centre"
    _say(f"face found in {found:,} of {len(faces):,} photos{others}")
    return boxes.around(faces, size, margin, height, width)


def faces_in(paths: Sequence[str], folder: Path | None = None) -> np.ndarray:
    """float32 (photos, 5), in the order of `paths`: top, left, bottom, right of the face as shares of the
    photo (perhaps beyond it), NaN where none is found; and the photo's width over its height.

    Found once for these photos (known by their paths, sizes and times) and kept in `folder`, by default the
    cache's; one process looks, the others wait for it. Where it can't be kept it is found all the same, and
    that is said on stderr. UsageError names every file that is no photo.
    """
    folder = folder or arrays.CACHE
    wanted = Holds(*identity(paths, ["faces", DETECTING]), photos=len(paths), size=None, crop="")
    if (faces := _kept(folder, wanted)) is not None:
        return faces
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_builder(folder, lambda: _say(f"waiting for another process at work in {shown(folder)}")):
            if (faces := _kept(folder, wanted)) is not None:  # found while this process waited
                return faces
            sweep(folder)
            remove_outdated(folder, wanted)
            _say(f"finding faces in {len(paths):,} photos once, kept in {shown(folder)}")
            faces = _look(paths)
            _keep(folder, wanted, faces)
    except OSError as error:
        _say(f"faces are not kept: {shown(folder)} can't be written to ({error.strerror})")
    return _look(paths) if faces is None else faces


def _kept(folder: Path, wanted: Holds) -> np.ndarray | None:
    path = folder / wanted.name
    with suppress(OSError, ValueError, EOFError):  # not there, or damaged: found anew
        faces = np.load(path)
        touch(path)
        return faces
    return None


def _keep(folder: Path, wanted: Holds, faces: np.ndarray) -> None:
    part = folder / f"{wanted.key}.part"
    try:
        with part.open("wb") as file:
            np.save(file, faces)
        note(folder / wanted.name, wanted)
        os.replace(part, folder / wanted.name)
    finally:
        sweep(folder)


def _look(paths: Sequence[str]) -> np.ndarray:
    errors: list[str] = []

    def look(start: int) -> np.ndarray:
        photos = []
        for path in paths[start : start + BATCH]:
            try:
                photos.append(read_photo(path))
            except UsageError as error:
                errors.extend(error.errors)
        return _search(photos)

    with ThreadPoolExecutor(WORKERS) as threads:
        found = chain.from_iterable(threads.map(look, range(0, len(paths), BATCH)))
        faces = [face for _, face in zip(track(paths, "finding faces", "photos"), found, strict=False)]
    if errors:
        raise UsageError(sorted(set(errors)))
    return np.array(faces)


def _search(photos: Sequence[np.ndarray]) -> np.ndarray:
    """The faces of these photos; those of one size are searched together."""
    faces = np.empty((len(photos), 5), np.float32)
    small = [_small(photo) for photo in photos]
    for shape in {photo.shape for photo in small}:
        rows = [row for row, photo in enumerate(small) if photo.shape == shape]
        height, width, _ = shape
        faces[rows, :4] = find_faces(np.stack([small[row] for row in rows])) / [height, width, height, width]
        faces[rows, 4] = [photos[row].shape[1] / photos[row].shape[0] for row in rows]
    return faces


def _small(photo: np.ndarray) -> np.ndarray:
    height, width = photo.shape[:2]
    return resize(photo, (HEIGHT, max(1, round(width * HEIGHT / height)))) if height > HEIGHT else photo


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
