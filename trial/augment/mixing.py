"""Mixing: two photos of a batch combined into one, and their labels in the same proportion.

A builder returns `mix(images, labels, draw) -> (images, targets)`: images float (B, 3, height, width), labels
int (B,) or the probability of each class (B, n_classes); targets are the labels unchanged, or such
probabilities. A mixing happens
to a photo with probability `p`; its partner is another photo of the batch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from dataset.task import Task
from trial.augment.photometric import box, per_photo
from trial.choice import Fraction, Registry
from trial.rng import Draw

if TYPE_CHECKING:
    from torch import Tensor

Mix = Callable[["Tensor", "Tensor", Draw], "tuple[Tensor, Tensor]"]
Alpha = Annotated[float, (0.01, 10)]


def none(task: Task) -> Mix:
    """Do not mix photos."""
    return lambda images, labels, draw: (images, labels)


def mixup(task: Task, *, alpha: Alpha = 0.2, p: Fraction = 1.0) -> Mix:
    """Blend each photo with another one, pixel by pixel (Zhang et al. 2017).

    The fraction of the photo itself is drawn from Beta(alpha, alpha). Source: arXiv:1710.09412.
    """

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        other = _others(draw, images)
        kept = per_photo(_kept(draw, alpha, p), images)
        return images[other].lerp(images, kept), _targets(labels, other, kept, task.n_classes)

    return mix


def cutmix(task: Task, *, alpha: Alpha = 1.0, p: Fraction = 0.5) -> Mix:
    """Replace a rectangle of each photo by the same rectangle of another one (Yun et al. 2019).

    The fraction of the area that the photo keeps is drawn from Beta(alpha, alpha). Source: arXiv:1905.04899.
    """

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        import torch

        other = _others(draw, images)
        (height, width), side = draw.size, np.sqrt(1 - _kept(draw, alpha, p))
        y, x = draw.uniform(0, 1) * height, draw.uniform(0, 1) * width
        top, bottom = (np.clip(np.floor(y + sign * side * height / 2), 0, height) for sign in (-1, 1))
        left, right = (np.clip(np.floor(x + sign * side * width / 2), 0, width) for sign in (-1, 1))
        inside = box(images, top, left, bottom - top, right - left)
        kept = per_photo(1 - (bottom - top) * (right - left) / (height * width), images)
        return torch.where(inside, images[other], images), _targets(labels, other, kept, task.n_classes)

    return mix


def cutmix_vertical(task: Task, *, low: Fraction = 0.46, high: Fraction = 0.54, p: Fraction = 0.7) -> Mix:
    """Join the left part of each photo and the right part of another one.

    The cut is drawn between the fractions `low` and `high` of the width: near the middle, so that each half
    shows half of what it is about. From the competition's best write-ups.
    """

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        import torch

        other = _others(draw, images)
        height, width = draw.size
        cut = np.round(draw.uniform(low, high) * width)
        cut = np.where(draw.happens(p), cut, width)
        edge = np.zeros(len(draw))
        right = box(images, edge, cut, edge + height, width - cut)
        kept = per_photo(cut / width, images)
        return torch.where(right, images[other], images), _targets(labels, other, kept, task.n_classes)

    return mix


def mixup_rare(task: Task, *, alpha: Alpha = 0.2, p: Fraction = 0.5) -> Mix:
    """Blend photos of rare classes with photos of other classes.

    The fraction of the rare class's photo is drawn from Beta(alpha, alpha); all other photos stay as they
    are. The baseline gets more photos of its rarest classes in this way.
    """

    def mix(images: "Tensor", labels: "Tensor", draw: Draw) -> "tuple[Tensor, Tensor]":
        import torch

        # The partner is drawn among the photos of other classes; if there is none, the photo stays as it is.
        known = labels if labels.dim() == 1 else labels.argmax(1)
        of_other_class = known[:, None] != known
        generator = draw.generator(labels.device)
        priority = torch.rand(of_other_class.shape, generator=generator, device=labels.device)
        other = (priority * of_other_class).argmax(1)
        rare = torch.isin(known, torch.tensor(task.rare, device=labels.device))
        blended = rare & of_other_class.any(1)
        kept = per_photo(_kept(draw, alpha, p), images)
        kept = torch.where(blended.view(kept.shape), kept, 1)
        return images[other].lerp(images, kept), _targets(labels, other, kept, task.n_classes)

    return mix


MIXINGS: Registry = {
    "none": none, "mixup": mixup, "cutmix": cutmix, "cutmix_vertical": cutmix_vertical,
    "mixup_rare": mixup_rare,
}  # fmt: skip


def _others(draw: Draw, images: "Tensor") -> "Tensor":
    """(B,) the index of another photo of the batch for each photo, on the images' device."""
    import torch

    order = draw.random.permutation(len(draw))
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)
    return torch.from_numpy(others).to(images.device, non_blocking=True)


def _kept(draw: Draw, alpha: float, p: float) -> np.ndarray:
    """(B,) the fraction of each photo that is kept; 1 for photos that are not mixed."""
    return np.where(draw.happens(p), draw.random.beta(alpha, alpha, len(draw)), 1)


def _targets(labels: "Tensor", other: "Tensor", kept: "Tensor", n_classes: int) -> "Tensor":
    """(B, n_classes) class probabilities: `kept` of a photo's own label, the rest of its partner's."""
    import torch.nn.functional as F

    own = F.one_hot(labels, n_classes).float() if labels.dim() == 1 else labels
    return own[other].lerp(own, kept.view(-1, 1))
