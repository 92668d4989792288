"""Crops: which part of each photo is kept, as boxes."""

from typing import NamedTuple

import numpy as np

from common.image_size import Size

# The baseline's 320 high x 256 wide of 512 x 384.
HEIGHT, WIDTH = 0.625, 2 / 3
MARGIN = 0.3


class Crop(NamedTuple):
    """`boxes` (photos, 4): top, left, bottom, right of each, as shares of the photo from 0 to 1; `text`
    tells this crop from others, in a word and its numbers."""

    text: str
    boxes: np.ndarray


def center(photos: int, height: float, width: float) -> Crop:
    """The middle of each photo, `height` x `width` of it."""
    top, left = (1 - height) / 2, (1 - width) / 2
    box = np.array([top, left, top + height, left + width])
    return Crop(f"center {height:g}x{width:g}", np.tile(box, (photos, 1)))


def around(faces: np.ndarray, size: Size, margin: float, height: float, width: float) -> Crop:
    """The face of each photo, with `margin` of its height and width around it, half of it on each side.

    `faces` (photos, 5): top, left, bottom, right as shares, and the photo's width over its height; NaN where
    no face was found: there it is the middle, `height` x `width` of the photo. Either is then extended to the
    shape of `size`, so that nothing is squashed, and moved into the photo; where that is too small for it,
    the box is, too, in the same shape.
    """
    boxes, ratio = faces[:, :4].clip(0, 1), faces[:, 4]
    sides = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes + np.hstack([-sides, sides]) * margin / 2
    boxes[np.isnan(faces[:, 0])] = center(1, height, width).boxes
    text = f"face {margin:g}, else {height:g}x{width:g}"
    return Crop(text, _in_shape(boxes, size[1] / size[0] / ratio))


def _in_shape(boxes: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The boxes extended to `shape` (photos,), width over height in shares, and moved into the photo."""
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    height, width = np.maximum(sides[:, 0], sides[:, 1] / shape), np.maximum(sides[:, 1], sides[:, 0] * shape)
    sides = np.stack([height, width], 1)
    sides /= np.maximum(1, sides.max(1, keepdims=True))
    start = (middle - sides / 2).clip(0, 1 - sides)
    return np.hstack([start, start + sides])
