"""Views of a photo by name, for test-time augmentation and for the features of a frozen backbone.

A function yields the images as they are, then each view of them, all float (B, 3, height, width).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from trial.choice import Registry

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


def no_features() -> None:
    """The network is trained on photos."""


def cached(*, views: Literal["none", "flip", "crops", "flip_crops"] = "flip") -> str:
    """Train only the last layer, on features that the frozen rest of the network gives for photos.

    They are computed once and kept in the cache, so that an epoch takes a second. In each epoch a photo is
    one of its `views`, drawn at random; in validation it is itself.
    """
    return views


FEATURES: Registry = {"none": no_features, "cached": cached}
