"""The face box of each photo of a data set: detected once and kept in the cache folder."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.image_size import Size
from common.progress import track
from dataset import boxes
from dataset.cache import arrays, computed
from dataset.cache.store import ArrayInfo, identity
from dataset.faces.detector import find_faces
from dataset.pixels import read_photo, resize

HEIGHT = 256  # pixels; larger photos are shrunk to it before detection
BATCH = 64
WORKERS = 2  # threads: one reads photos while the other runs the detector
DETECTING = 1  # version of the detection: raise it if the boxes change, so that older ones are not used

logger = logging.getLogger(__name__)


def face_crop(paths: Sequence[str], size: Size, margin: float, height: float, width: float) -> boxes.Crop:
    """The crop around the face of each photo, or of its centre if no face is found (see `boxes.around`)."""
    faces = faces_in(paths)
    found = len(faces) - int(np.isnan(faces[:, 0]).sum())
    others = "" if found == len(faces) else f"; the other {len(faces) - found:,} are cropped to the centre"
    logger.info(f"face found in {found:,} of {len(faces):,} photos{others}")
    return boxes.around(faces, size, margin, height, width)


def faces_in(paths: Sequence[str], folder: Path | None = None) -> np.ndarray:
    """The face of each photo: float32 (photos, 5), in the order of `paths`.

    The columns are top, left, bottom, right as fractions of the photo, which may lie outside it, or NaN if no
    face is found; and the photo's width over its height. Detected once for these photos (identified by path,
    size and modification time) and kept in `folder`, by default the cache folder. One process detects, others
    wait for it. If the folder can't be written to, a warning is logged and the faces are detected each time.
    UsageError lists every file that is not an image.
    """
    what = f"finding faces in {len(paths):,} photos"
    return computed.computed(folder or arrays.CACHE, _wanted(paths), lambda: _detect(paths), what)


def cached_faces(paths: Sequence[str]) -> np.ndarray | None:
    """As `faces_in` of the cache folder, but None if they were not detected before."""
    return computed.read(arrays.CACHE, _wanted(paths))


def _wanted(paths: Sequence[str]) -> ArrayInfo:
    return ArrayInfo(*identity(paths, ["faces", DETECTING]), photos=len(paths), size=None, crop="")


def _detect(paths: Sequence[str]) -> np.ndarray:
    errors: list[str] = []

    def detect(start: int) -> np.ndarray:
        photos = []
        for path in paths[start : start + BATCH]:
            try:
                photos.append(read_photo(path))
            except UsageError as error:
                errors.extend(error.errors)
        return _detect_batch(photos)

    with ThreadPoolExecutor(WORKERS) as threads:
        found = chain.from_iterable(threads.map(detect, range(0, len(paths), BATCH)))
        faces = [face for _, face in zip(track(paths, "finding faces", "photos"), found, strict=False)]
    if errors:
        raise UsageError(sorted(set(errors)))
    return np.array(faces)


def _detect_batch(photos: Sequence[np.ndarray]) -> np.ndarray:
    """The faces of some photos; photos of the same size go through the detector together."""
    faces = np.empty((len(photos), 5), np.float32)
    small = [_shrunk(photo) for photo in photos]
    for shape in {photo.shape for photo in small}:
        rows = [row for row, photo in enumerate(small) if photo.shape == shape]
        height, width, _ = shape
        faces[rows, :4] = find_faces(np.stack([small[row] for row in rows])) / [height, width, height, width]
        faces[rows, 4] = [photos[row].shape[1] / photos[row].shape[0] for row in rows]
    return faces


def _shrunk(photo: np.ndarray) -> np.ndarray:
    height, width = photo.shape[:2]
    return resize(photo, (HEIGHT, max(1, round(width * HEIGHT / height)))) if height > HEIGHT else photo
