"""The size of the photos that a network is trained on, epoch by epoch; it is validated on whole ones.

A RESIZINGS builder takes the image size and the number of epochs, and returns `size_of(epoch)`, epochs
counted from 1; None: the image size in all of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from common.image_size import Size
from trial.choice import Fraction, Registry

if TYPE_CHECKING:
    from torch import Tensor

SizeOf = Callable[[int], Size]


def none(size: Size, epochs: int) -> None:
    """The image size in all epochs."""


def progressive(
    size: Size, epochs: int, *, start: Annotated[float, (0.2, 1)] = 0.5, until: Fraction = 0.75
) -> SizeOf:
    """Small photos first, which take less time, whole ones at the end (progressive resizing).

    Both sides are `start` times those of the image size in the first epoch, and grow evenly until the
    fraction `until` of the epochs is done: the aspect ratio stays, to half a pixel.
    """

    def size_of(epoch: int) -> Size:
        grown = min(1.0, (epoch - 1) / (until * epochs)) if until else 1.0
        factor = start + (1 - start) * grown
        height, width = (max(1, round(factor * side)) for side in size)
        return height, width

    return size_of


def resized(images: "Tensor", size: Size) -> "Tensor":
    """(B, 3, height, width) -> the same at `size`: bilinear, smoothed."""
    import torch.nn.functional as F

    if images.shape[2:] == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


RESIZINGS: Registry = {"none": none, "progressive": progressive}
