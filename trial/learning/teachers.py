"""What a network learns beside the labels: what other networks predict for the same photos (distillation).

A TEACHERS builder returns None, or a Teacher.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NamedTuple

from trial.choice import Fraction, Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# (Labels (B,), rows (B,) in the DataFrame of training photos) -> fractions of each class (B, classes).
Soften = Callable[["Tensor", "np.ndarray"], "Tensor"]


class Teacher(NamedTuple):
    """`runs`: folders of the runs whose predictions are averaged. `fraction`: of these in a target, the label
    has the rest. `temperature` divides their logits."""

    runs: tuple[str, ...]
    fraction: float
    temperature: float


def none() -> None:
    """The labels alone."""


def out_of_fold(
    *, runs: str = "", fraction: Fraction = 0.5, temperature: Annotated[float, (0.1, 20)] = 1.0
) -> Teacher:
    """Labels mixed with what runs of fold=all predict out of fold, so that one network learns what they know
    together (Hinton et al. 2015, arXiv:1503.02531).

    `runs`: their folders, joined by commas; their predictions are averaged. `fraction`: of the predictions in
    a target, the label has the rest. `temperature` divides the logits of the predictions: above 1 they say
    more of the other classes.
    """
    return Teacher(tuple(run.strip() for run in runs.split(",") if run.strip()), fraction, temperature)


def softened(predictions: "np.ndarray", fraction: float) -> Soften:
    """Targets with the `predictions` (photos, classes) of the training photos: `fraction` of these."""
    import torch
    import torch.nn.functional as F

    known = torch.from_numpy(predictions).float()

    def soften(labels: "Tensor", rows: "np.ndarray") -> "Tensor":
        own = F.one_hot(labels, known.shape[1]).float()
        return own.lerp(known[rows].to(own.device, non_blocking=True), fraction)

    return soften


TEACHERS: Registry = {"none": none, "out_of_fold": out_of_fold}
