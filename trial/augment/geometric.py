"""Geometric steps: flips, shifts, affine and perspective changes, as homographies drawn for a whole batch.

A builder returns `warp(draw) -> (B, 3, 3)`: homographies from coordinates in the augmented photo to
coordinates in the original, both from -1 to 1 (x to the right, y down). trial/augment/warp.py applies them:
those of consecutive steps are multiplied first, so that a photo is interpolated once. Outside a photo its
edge pixels are repeated. Every step but `alternating_flip` happens to a photo with probability `p`.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from trial.choice import Fraction, Registry
from trial.rng import Draw

Warp = Callable[[Draw], np.ndarray]
Part = Annotated[float, (0, 0.9)]  # at 1 a photo could shrink to a line or a point
Degrees = Annotated[float, (0, 60)]


def flip(*, p: Fraction = 0.5) -> Warp:
    """Mirror each photo left to right at random."""
    return lambda draw: _mirrored(draw.happens(p))


def alternating_flip() -> Warp:
    """Mirror each photo every other epoch, half of the photos in the first (Jordan 2024).

    In two consecutive epochs each photo is seen once each way; `flip` shows half of them the same way twice
    (arXiv:2404.00498). A photo that a sampler draws several times in an epoch is mirrored each time or never.
    """

    def warp(draw: Draw) -> np.ndarray:
        first = draw.rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(63)
        return _mirrored((first + np.uint64(draw.epoch)) % np.uint64(2) == 1)

    return warp


def shift_scale(*, shift: Fraction = 0.08, scale: Part = 0.08, p: Fraction = 1.0) -> Warp:
    """Shift and scale each photo, horizontally and vertically by independent amounts.

    `shift`: the largest shift either way, as a fraction of the side. `scale`: factors from 1 - scale to
    1 + scale.
    """

    def warp(draw: Draw) -> np.ndarray:
        across, down = draw.around(1, scale), draw.around(1, scale)
        moved = _matrices(
            [across, 0, 2 * draw.around(0, shift)], [0, down, 2 * draw.around(0, shift)], [0, 0, 1]
        )
        return _where_drawn(draw.happens(p), np.linalg.inv(moved))

    return warp


def affine(
    *,
    degrees: Degrees = 10.0,
    shift: Fraction = 0.05,
    scale: Part = 0.1,
    shear: Degrees = 0.0,
    p: Fraction = 1.0,
) -> Warp:
    """Rotate, shift, scale and shear each photo: torchvision's RandomAffine.

    `degrees`: the largest rotation either way. `shift`: the largest shift, as a fraction of each side.
    `scale`: one factor for both sides, from 1 - scale to 1 + scale. `shear`: the largest horizontal shear, in
    degrees.
    """

    def warp(draw: Draw) -> np.ndarray:
        angle, slant = np.radians(draw.around(0, degrees)), np.tan(np.radians(draw.around(0, shear)))
        size = draw.around(1, scale)
        height, width = draw.size
        turn = _matrices([np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1])
        slanted = _matrices([size, -size * slant, 0], [0, size, 0], [0, 0, 1])
        to_pixels = np.diag([width / 2, height / 2, 1])
        turned = np.linalg.inv(to_pixels) @ turn @ slanted @ to_pixels
        move = _matrices([1, 0, 2 * draw.around(0, shift)], [0, 1, 2 * draw.around(0, shift)], [0, 0, 1])
        return _where_drawn(draw.happens(p), np.linalg.inv(move @ turned))

    return warp


def perspective(*, distortion: Part = 0.3, p: Fraction = 0.5) -> Warp:
    """Distort the perspective of each photo: torchvision's RandomPerspective.

    `distortion`: how far each corner may move inwards, as a fraction of half a side.
    """

    def warp(draw: Draw) -> np.ndarray:
        old = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
        new = old * (1 - draw.random.uniform(0, distortion, (len(draw), 4, 2)))
        equations, known = [], []
        for corner, (x, y) in enumerate(old):
            u, v = new[:, corner, 0], new[:, corner, 1]
            equations += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
            known += [x, y]
        solved = np.linalg.solve(_matrices(*equations), np.array(known)[:, None])[..., 0]
        homographies = np.append(solved, np.ones((len(draw), 1)), axis=1).reshape(-1, 3, 3)
        return _where_drawn(draw.happens(p), homographies)

    return warp


def random_resized_crop(
    *,
    min_area: Annotated[float, (0.05, 1)] = 0.7,
    max_ratio: Annotated[float, (1, 3)] = 1.15,
    p: Fraction = 1.0,
) -> Warp:
    """Crop a random part of each photo and resize it: torchvision's RandomResizedCrop.

    `min_area`: the smallest part, as a fraction of the photo's area. `max_ratio`: the largest factor by which
    the part's aspect ratio differs from the photo's, either way.
    """

    def warp(draw: Draw) -> np.ndarray:
        area, ratio = draw.uniform(min_area, 1), np.exp(draw.around(0, np.log(max_ratio)))
        width, height = np.minimum(1, np.sqrt(area * ratio)), np.minimum(1, np.sqrt(area / ratio))
        # A side that was cut at the photo's must not make the part smaller than asked for.
        wide, high = np.minimum(1, min_area / height), np.minimum(1, min_area / width)
        width, height = np.maximum(width, wide), np.maximum(height, high)
        x, y = draw.around(0, 1) * (1 - width), draw.around(0, 1) * (1 - height)
        return _where_drawn(draw.happens(p), _matrices([width, 0, x], [0, height, y], [0, 0, 1]))

    return warp


FLIPS: Registry = {"flip": flip, "alternating_flip": alternating_flip}
GEOMETRIC: Registry = {
    **FLIPS, "shift_scale": shift_scale, "affine": affine, "perspective": perspective,
    "random_resized_crop": random_resized_crop,
}  # fmt: skip


def _mirrored(which: np.ndarray) -> np.ndarray:
    """Homographies (B, 3, 3) that mirror the photos of the bool array `which` (B,)."""
    return _where_drawn(which, np.broadcast_to(np.diag([-1.0, 1, 1]), (len(which), 3, 3)))


def _where_drawn(which: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """`matrices` (B, 3, 3) for the photos of the bool array `which` (B,), the identity for the others."""
    return np.where(which[:, None, None], matrices, np.eye(3))


def _matrices(*rows: list) -> np.ndarray:
    """(B, rows, columns) from rows of scalars and arrays (B,)."""
    shape = np.broadcast_shapes(*(np.shape(entry) for row in rows for entry in row))
    return np.stack(
        [np.stack([np.broadcast_to(entry, shape) for entry in row], axis=-1) for row in rows], axis=-2
    )
