"""Test-time augmentation by name: the views of a photo over which a network's probabilities are averaged.

A function yields the images as they are, then each view of them, all float (B, 3, height, width).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from common.errors import UsageError, unknown

if TYPE_CHECKING:
    from torch import Tensor

Views = Callable[["Tensor"], Iterator["Tensor"]]
SIDE = 0.9  # side of a crop, as a fraction of the photo's
PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))  # of the crops: down, across


def none(images: "Tensor") -> Iterator["Tensor"]:
    """The photo alone."""
    yield images


def flip(images: "Tensor") -> Iterator["Tensor"]:
    """The photo and its mirror image."""
    yield images
    yield images.flip(3)


def crops(images: "Tensor") -> Iterator["Tensor"]:
    """The photo, and crops of its four corners and its centre, resized back (bilinear)."""
    import torch.nn.functional as F

    yield images
    height, width = images.shape[2:]
    tall, wide = round(SIDE * height), round(SIDE * width)
    for down, across in PLACES:
        top, left = round(down * (height - tall)), round(across * (width - wide))
        part = images[:, :, top : top + tall, left : left + wide]
        yield F.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)


def flip_crops(images: "Tensor") -> Iterator["Tensor"]:
    """`crops`, each with its mirror image."""
    for view in crops(images):
        yield from flip(view)


VIEWS: dict[str, Views] = {"none": none, "flip": flip, "crops": crops, "flip_crops": flip_crops}


def refuse(tta: str, temperature: float = 1.0) -> None:
    """UsageError if `tta` is unknown or `temperature` is not a positive number."""
    errors = [] if tta in VIEWS else [unknown("--tta", tta, VIEWS)]
    if not 0 < temperature < float("inf"):
        errors.append(
            f"--temperature {temperature:g}: must be a number above 0 (1 leaves the logits as they are)"
        )
    if errors:
        raise UsageError(errors)
