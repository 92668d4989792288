"""Optimisers and learning-rate schedules by name.

A schedule is a plain function: epochs done (a fraction, 0 to `epochs`) -> factor on the learning
rate. So it means the same whatever the number of steps an epoch, and retraining on more photos
keeps it as it was.
"""

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from trial.choice import Share

Schedule = Callable[[float], float]


def adam(parameters: Iterable[Any], learning_rate: float, weight_decay: float) -> Any:
    """Adam (Kingma and Ba 2015); weight decay is an L2 term on the gradient."""
    import torch

    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def adamw(parameters: Iterable[Any], learning_rate: float, weight_decay: float) -> Any:
    """AdamW (Loshchilov and Hutter 2019): weight decay apart from the gradient."""
    import torch

    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


def sgd(
    parameters: Iterable[Any],
    learning_rate: float,
    weight_decay: float,
    *,
    momentum: Annotated[float, (0, 1)] = 0.9,
    nesterov: bool = True,
) -> Any:
    """Stochastic gradient descent with (Nesterov) momentum."""
    import torch

    return torch.optim.SGD(
        parameters,
        lr=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        fused=True,
    )


def constant(epochs: int) -> Schedule:
    """The learning rate as given, throughout."""
    return lambda done: 1.0


def cosine(epochs: int, *, warmup: Annotated[float, (0, 1000)] = 0.0) -> Schedule:
    """Linear from 0 over the first `warmup` epochs, then half a cosine to 0 (arXiv:1608.03983)."""

    def factor(done: float) -> float:
        if done < warmup:
            return done / warmup
        return 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(epochs - warmup, 1e-9)))

    return factor


def onecycle(epochs: int, *, peak: Share = 0.25, start: Share = 0.04) -> Schedule:
    """One cycle (Smith 2018, arXiv:1708.07120): by cosine from `start` to 1 at the share `peak`
    of the epochs, then down to 0."""

    def factor(done: float) -> float:
        share = done / epochs
        if share < peak:
            return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * share / peak))
        return 0.5 * (1 + math.cos(math.pi * (share - peak) / max(1 - peak, 1e-9)))

    return factor


def step(epochs: int, *, every: Annotated[float, (0.001, 1)] = 0.33, factor: Share = 0.1) -> Schedule:
    """Times `factor` after each share `every` of the epochs."""
    return lambda done: factor ** math.floor(done / (every * epochs) + 1e-9)


OPTIMIZERS = {"adam": adam, "adamw": adamw, "sgd": sgd}
SCHEDULES = {"constant": constant, "cosine": cosine, "onecycle": onecycle, "step": step}
