"""Two photos of a batch made one, with their labels in the same shares.

A builder gives `mix(images, labels, draw) -> (images, targets)`: images (B, 3, height, width); labels (B,)
whole numbers; targets the labels as they are, or (B, 18) shares of each class.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from dataset.labels import N_CLASSES, is_oldest
from trial.augment.photometric import box, each
from trial.choice import Fraction
from trial.rng import Draw

if TYPE_CHECKING:
    from torch import Tensor

Mix = Callable[["Tensor", "Tensor", Draw], "tuple[Tensor, Tensor]"]
Alpha = Annotated[float, (0.01, 10)]


def none() -> Mix:
    """Each photo by itself."""
    return lambda images, labels, draw: (images, labels)


def mixup(*, alpha: Alpha = 0.2, p: Fraction = 1.0) -> Mix:
    """Each photo blended with another one, its share from Beta(alpha, alpha) (Zhang et al. 2017,
    arXiv:1710.09412)."""

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        other = _others(draw, images)
        share = each(_shares(draw, alpha, p), images)
        return images[other].lerp(images, share), _targets(labels, other, share)

    return mix


def cutmix(*, alpha: Alpha = 1.0, p: Fraction = 0.5) -> Mix:
    """A rectangle of each photo taken from another one, the rest's share from Beta(alpha, alpha) (Yun et al.
    2019, arXiv:1905.04899)."""

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        import torch

        other = _others(draw, images)
        (height, width), side = draw.size, np.sqrt(1 - _shares(draw, alpha, p))
        y, x = draw.uniform(0, 1) * height, draw.uniform(0, 1) * width
        top, bottom = (np.clip(np.floor(y + sign * side * height / 2), 0, height) for sign in (-1, 1))
        left, right = (np.clip(np.floor(x + sign * side * width / 2), 0, width) for sign in (-1, 1))
        inside = box(images, top, left, bottom - top, right - left)
        share = each(1 - (bottom - top) * (right - left) / (height * width), images)
        return torch.where(inside, images[other], images), _targets(labels, other, share)

    return mix


def cutmix_vertical(*, low: Fraction = 0.46, high: Fraction = 0.54, p: Fraction = 0.7) -> Mix:
    """The left part of each photo beside the right part of another one, cut at a share of the width between
    `low` and `high`: a face of two halves, each with its mask, as in the competition's best write-ups."""

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        import torch

        other = _others(draw, images)
        height, width = draw.size
        cut = np.round(draw.uniform(low, high) * width)
        cut = np.where(draw.happens(p), cut, width)
        edge = np.zeros(len(draw))
        right = box(images, edge, cut, edge + height, width - cut)
        share = each(cut / width, images)
        return torch.where(right, images[other], images), _targets(labels, other, share)

    return mix


def mixup_oldest(*, alpha: Alpha = 0.2, p: Fraction = 0.5) -> Mix:
    """Photos of people of 60 and over blended with photos of other classes, their share from Beta(alpha,
    alpha); all others stay as they are. The baseline's way to more photos of the rarest."""

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        import torch

        # The partner is drawn among the photos of other classes; where there is none, nothing happens.
        foreign = labels[:, None] != labels
        chances = torch.rand(foreign.shape, generator=draw.generator(labels.device), device=labels.device)
        other = (chances * foreign).argmax(1)
        blended = is_oldest(labels) & foreign.any(1)
        share = torch.where(blended.view(-1, 1, 1, 1), each(_shares(draw, alpha, p), images), 1)
        return images[other].lerp(images, share), _targets(labels, other, share)

    return mix


MIXINGS = {
    "none": none, "mixup": mixup, "cutmix": cutmix, "cutmix_vertical": cutmix_vertical,
    "mixup_oldest": mixup_oldest,
}  # fmt: skip


def _others(draw: Draw, images: "Tensor") -> "Tensor":
    """(B,) for each photo another one of the batch, where the images are."""
    import torch

    order = draw.random.permutation(len(draw))
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    return torch.from_numpy(others).to(images.device, non_blocking=True)


def _shares(draw: Draw, alpha: float, p: float) -> np.ndarray:
    """(B,) how much of each photo stays; 1 where nothing happens."""
    return np.where(draw.happens(p), draw.random.beta(alpha, alpha, len(draw)), 1)


def _targets(labels: "Tensor", other: "Tensor", share: "Tensor") -> "Tensor":
    import torch.nn.functional as F

    own = F.one_hot(labels, N_CLASSES).float()
    return own[other].lerp(own, share.view(-1, 1))
