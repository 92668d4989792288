"""Crops: the part of each photo that is kept, as a box."""

import hashlib
from typing import NamedTuple

import numpy as np

from common.image_size import Size

# The baseline's centre crop, 320 x 256 of 512 x 384 (height x width).
HEIGHT, WIDTH = 0.625, 2 / 3
MARGIN = 0.3  # of the face crop, as a fraction of the face's height and width


class Crop(NamedTuple):
    """The part of each photo that is kept.

    `boxes` (photos, 4): top, left, bottom, right as fractions of the photo's height and width, from 0 to 1.
    `text` identifies the crop by its name and parameters; it is part of the cache key.
    """

    text: str
    boxes: np.ndarray

    @property
    def mark(self) -> str:
        """A hash of the boxes, the other part of the cache key: faces may be found elsewhere another time."""
        return hashlib.sha256(self.boxes.tobytes()).hexdigest()


def center(photos: int, height: float, width: float) -> Crop:
    """The centre of every photo; `height` and `width` are fractions of the photo."""
    top, left = (1 - height) / 2, (1 - width) / 2
    box = np.array([top, left, top + height, left + width])
    return Crop(f"center {height:g}x{width:g}", np.tile(box, (photos, 1)))


def around(faces: np.ndarray, size: Size, margin: float, height: float, width: float) -> Crop:
    """The face of each photo with a margin; the centre of photos without a face.

    `faces` (photos, 5): top, left, bottom, right as fractions of the photo, NaN if no face was found, and the
    photo's width over its height. `margin`: a fraction of the face's height and width, half of it on each
    side. `height`, `width`: the centre crop, as in `center`.

    Both are grown to the aspect ratio of `size` and shifted inside the photo; a box larger than the photo is
    shrunk, keeping the ratio.
    """
    boxes, aspect_ratio = faces[:, :4].clip(0, 1), faces[:, 4]
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes + np.hstack([-sides, sides]) * margin / 2
    boxes[np.isnan(faces[:, 0])] = center(1, height, width).boxes
    text = f"face {margin:g}, else {height:g}x{width:g}"
    return Crop(text, _with_aspect(boxes, size[1] / size[0] / aspect_ratio))


def _with_aspect(boxes: np.ndarray, aspect: np.ndarray) -> np.ndarray:
    """Grow the boxes to `aspect` (photos,), width over height in fractions, and shift them into the photo."""
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    height, width = (
        np.maximum(sides[:, 0], sides[:, 1] / aspect),
        np.maximum(sides[:, 1], sides[:, 0] * aspect),
    )
    sides = np.stack([height, width], 1)
    sides /= np.maximum(1, sides.max(1, keepdims=True))
    start = (middle - sides / 2).clip(0, 1 - sides)
    return np.hstack([start, start + sides])
