"""Steps that move pixels, on whole batches: each says where every place of the new photo lies in the old one.

A builder gives `warp(draw) -> (B, 3, 3)`, homographies from places in the new photos to places in the old
ones, both from -1 to 1 (x to the right, y down). Neighbours in a policy are multiplied and applied at once
(trial/augment/pipeline.py): a photo is interpolated once, whatever their number. Beyond its edge a photo is continued.
"""

from collections.abc import Callable
from typing import Annotated

import numpy as np

from trial.choice import Fraction, Registry
from trial.rng import Draw

Warp = Callable[[Draw], np.ndarray]
Part = Annotated[float, (0, 0.9)]  # by all of it, a photo would vanish in a dot or a line
Degrees = Annotated[float, (0, 60)]


def flip(*, p: Fraction = 0.5) -> Warp:
    """Left and right exchanged."""
    return lambda draw: _mirrored(draw.happens(p))


def alternating_flip() -> Warp:
    """Left and right exchanged every other epoch, in the first one for half of the photos: in two epochs each
    is seen once each way, where `flip` shows half of them the same way twice (Jordan 2024, arXiv:2404.00498).
    A photo that a sampler draws several times in an epoch is seen one way in all of it.
    """

    def warp(draw: Draw) -> np.ndarray:
        first = draw.rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(63)
        return _mirrored((first + np.uint64(draw.epoch)) % np.uint64(2) == 1)

    return warp


def shift_scale(*, shift: Fraction = 0.08, scale: Part = 0.08, p: Fraction = 1.0) -> Warp:
    """Moved by up to `shift` of each side and scaled by 1 +- `scale`, each way by itself."""

    def warp(draw: Draw) -> np.ndarray:
        across, down = draw.around(1, scale), draw.around(1, scale)
        moved = _matrices(
            [across, 0, 2 * draw.around(0, shift)], [0, down, 2 * draw.around(0, shift)], [0, 0, 1]
        )
        return _where(draw.happens(p), np.linalg.inv(moved))

    return warp


def affine(
    *,
    degrees: Degrees = 10.0,
    shift: Fraction = 0.05,
    scale: Part = 0.1,
    shear: Degrees = 0.0,
    p: Fraction = 1.0,
) -> Warp:
    """Turned by up to `degrees`, moved by up to `shift` of each side, scaled by 1 +- `scale` (both ways
    alike) and slanted sideways by up to `shear` degrees: torchvision's RandomAffine."""

    def warp(draw: Draw) -> np.ndarray:
        angle, slant = np.radians(draw.around(0, degrees)), np.tan(np.radians(draw.around(0, shear)))
        size = draw.around(1, scale)
        height, width = draw.size
        turn = _matrices([np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1])
        slanted = _matrices([size, -size * slant, 0], [0, size, 0], [0, 0, 1])
        to_pixels = np.diag([width / 2, height / 2, 1])
        turned = np.linalg.inv(to_pixels) @ turn @ slanted @ to_pixels
        move = _matrices([1, 0, 2 * draw.around(0, shift)], [0, 1, 2 * draw.around(0, shift)], [0, 0, 1])
        return _where(draw.happens(p), np.linalg.inv(move @ turned))

    return warp


def perspective(*, distortion: Part = 0.3, p: Fraction = 0.5) -> Warp:
    """Each corner drawn inwards by up to `distortion` of half a side: torchvision's RandomPerspective."""

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
        return _where(draw.happens(p), homographies)

    return warp


def random_resized_crop(*, min_area: Annotated[float, (0.05, 1)] = 0.7, max_ratio: Annotated[float, (1, 3)] = 1.15,
         p: Fraction = 1.0) -> Warp:  # fmt: skip
    """A part of the photo, between `min_area` and all of its area, its sides' ratio changed by up to the factor
    `max_ratio`, resized to the photo's size: torchvision's RandomResizedCrop."""

    def warp(draw: Draw) -> np.ndarray:
        area, ratio = draw.uniform(min_area, 1), np.exp(draw.around(0, np.log(max_ratio)))
        width, height = np.minimum(1, np.sqrt(area * ratio)), np.minimum(1, np.sqrt(area / ratio))
        x, y = draw.around(0, 1) * (1 - width), draw.around(0, 1) * (1 - height)
        return _where(draw.happens(p), _matrices([width, 0, x], [0, height, y], [0, 0, 1]))

    return warp


FLIPS: Registry = {"flip": flip, "alternating_flip": alternating_flip}
WARPS: Registry = {
    **FLIPS, "shift_scale": shift_scale, "affine": affine, "perspective": perspective,
    "random_resized_crop": random_resized_crop,
}  # fmt: skip


def _mirrored(which: np.ndarray) -> np.ndarray:
    return _where(which, np.broadcast_to(np.diag([-1.0, 1, 1]), (len(which), 3, 3)))


def _where(which: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    return np.where(which[:, None, None], matrices, np.eye(3))


def _matrices(*rows: list) -> np.ndarray:
    """(B, rows, columns) of rows whose entries are numbers or arrays (B,)."""
    shape = np.broadcast_shapes(*(np.shape(entry) for row in rows for entry in row))
    return np.stack(
        [np.stack([np.broadcast_to(entry, shape) for entry in row], axis=-1) for row in rows], axis=-2
    )
