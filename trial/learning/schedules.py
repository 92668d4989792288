"""Learning-rate schedules by name.

A schedule is a function of the epochs done (a float from 0 to `epochs`) and of the losses given to `step`. So
it does not depend on the number of steps in an epoch, and retraining on more photos keeps it. A step takes
the rate at its middle (`middle`): at its start the first step of a warm-up would have a rate of 0, and at its
end the last step of an annealing.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from trial.choice import Fraction, Registry

Epochs = Annotated[float, (0, 1000)]


def middle(epoch: int, first: int, together: int, batches: int) -> float:
    """Epochs done at the middle of a step.

    The step is made of `together` batches from index `first` on; `epoch` (from 1) has `batches` of them.
    """
    return epoch - 1 + (first + together / 2) / batches


class Schedule:
    """Epochs done -> the factor of the learning rate: linear from 0 over `warmup` epochs, then `factor`."""

    def __init__(self, factor: Callable[[float], float], warmup: float = 0.0):
        self.factor, self.warmup = factor, warmup

    def __call__(self, done: float) -> float:
        return done / self.warmup if done < self.warmup else self.factor(done)

    def step(self, loss: float) -> None:
        """Report an epoch's validation loss; without validation groups its training loss."""

    def state(self) -> dict[str, Any]:
        """What `load` takes."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from the `state` of an earlier part of the training."""
        vars(self).update(state)


class Plateau(Schedule):
    """The factor is multiplied by `by` after more than `patience` epochs without a lower loss."""

    def __init__(self, by: float, patience: int, warmup: float):
        super().__init__(lambda done: self.now, warmup)
        self.by, self.patience = by, patience
        self.now, self.best, self.epochs, self.bad = 1.0, math.inf, 0, 0

    def step(self, loss: float) -> None:
        self.epochs += 1
        # Epochs of the warm-up do not count.
        self.bad = 0 if loss < self.best or self.epochs <= self.warmup else self.bad + 1
        self.best = min(self.best, loss)
        if self.bad > self.patience:
            self.now, self.bad = self.now * self.by, 0

    def state(self) -> dict[str, Any]:
        return {"now": self.now, "best": float(self.best), "epochs": self.epochs, "bad": self.bad}


def constant(epochs: int, *, warmup: Epochs = 0.0) -> Schedule:
    """Constant, after a linear rise from 0 over the first `warmup` epochs."""
    return Schedule(lambda done: 1.0, warmup)


def cosine(epochs: int, *, warmup: Epochs = 0.0) -> Schedule:
    """Linear from 0 over the first `warmup` epochs, then half a cosine to 0 (arXiv:1608.03983)."""

    def factor(done: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(epochs - warmup, 1e-9)))

    return Schedule(factor, warmup)


def onecycle(epochs: int, *, peak: Fraction = 0.25, start: Fraction = 0.04) -> Schedule:
    """One cycle: a cosine from `start` up to 1 at the fraction `peak` of the epochs, then down to 0.

    Smith 2018, arXiv:1708.07120.
    """

    def factor(done: float) -> float:
        fraction = done / epochs
        if fraction < peak:
            return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * fraction / peak))
        return 0.5 * (1 + math.cos(math.pi * (fraction - peak) / max(1 - peak, 1e-9)))

    return Schedule(factor)


def step(
    epochs: int, *, every: Annotated[float, (0.001, 1)] = 0.33, factor: Fraction = 0.1, warmup: Epochs = 0.0
) -> Schedule:
    """Multiplied by `factor` after each fraction `every` of the epochs."""
    return Schedule(lambda done: factor ** math.floor(done / (every * epochs) + 1e-9), warmup)


def plateau(
    epochs: int,
    *,
    factor: Annotated[float, (0.01, 0.99)] = 0.1,
    patience: Annotated[int, (0, 1000)] = 2,
    warmup: Epochs = 0.0,
) -> Schedule:
    """Multiplied by `factor` after more than `patience` epochs without a lower validation loss.

    As torch's ReduceLROnPlateau with threshold=0. Epochs of the warm-up do not count. Retraining has no
    validation groups and goes by the training loss.
    """
    return Plateau(factor, patience, warmup)


# Those whose rates so far are the same whatever the number of epochs, so that a training can be made longer.
OPEN_ENDED = ("constant", "plateau")
SCHEDULES: Registry = {
    "constant": constant, "cosine": cosine, "onecycle": onecycle, "step": step, "plateau": plateau,
}  # fmt: skip
