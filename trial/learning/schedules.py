"""Learning-rate schedules by name.

A schedule goes by epochs done (a fraction, 0 to `epochs`), and by the losses given to `step`. So it means the
same whatever the number of steps an epoch, and retraining on more photos keeps it as it was. A step is taken
at the rate of its middle (`middle`): at its start, a warm-up's first step would be at 0, and at its end an
annealing's last one; with a step an epoch that would be a whole epoch.
"""

import math
from collections.abc import Callable
from typing import Annotated

from trial.choice import Fraction, Registry

Epochs = Annotated[float, (0, 1000)]


def middle(epoch: int, first: int, together: int, batches: int) -> float:
    """Epochs done in the middle of a step: that of `together` batches, from number `first` on, of the
    `batches` (numbered from 0) of `epoch` (from 1)."""
    return epoch - 1 + (first + together / 2) / batches


class Schedule:
    """Called with epochs done, gives the factor on the learning rate: a linear rise from 0 over `warmup`
    epochs, then `factor`."""

    def __init__(self, factor: Callable[[float], float], warmup: float = 0.0):
        self.factor, self.warmup = factor, warmup

    def __call__(self, done: float) -> float:
        return done / self.warmup if done < self.warmup else self.factor(done)

    def step(self, loss: float) -> None:
        """The validation loss of the epoch just done; without validation people the training loss."""


class Plateau(Schedule):
    """Times `by` whenever the loss has had no new best for more than `patience` epochs."""

    def __init__(self, by: float, patience: int, warmup: float):
        super().__init__(lambda done: self.now, warmup)
        self.by, self.patience = by, patience
        self.now, self.best, self.epochs, self.bad = 1.0, math.inf, 0, 0

    def step(self, loss: float) -> None:
        self.epochs += 1
        # Warm-up's epochs are no reason to learn more slowly after it.
        self.bad = 0 if loss < self.best or self.epochs <= self.warmup else self.bad + 1
        self.best = min(self.best, loss)
        if self.bad > self.patience:
            self.now, self.bad = self.now * self.by, 0


def constant(epochs: int, *, warmup: Epochs = 0.0) -> Schedule:
    """The learning rate as given, after a linear rise from 0 over the first `warmup` epochs."""
    return Schedule(lambda done: 1.0, warmup)


def cosine(epochs: int, *, warmup: Epochs = 0.0) -> Schedule:
    """Linear from 0 over the first `warmup` epochs, then half a cosine to 0 (arXiv:1608.03983)."""

    def factor(done: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(epochs - warmup, 1e-9)))

    return Schedule(factor, warmup)


def onecycle(epochs: int, *, peak: Fraction = 0.25, start: Fraction = 0.04) -> Schedule:
    """One cycle (Smith 2018, arXiv:1708.07120): by cosine from `start` to 1 at the share `peak`
    of the epochs, then down to 0."""

    def factor(done: float) -> float:
        share = done / epochs
        if share < peak:
            return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * share / peak))
        return 0.5 * (1 + math.cos(math.pi * (share - peak) / max(1 - peak, 1e-9)))

    return Schedule(factor)


def step(
    epochs: int, *, every: Annotated[float, (0.001, 1)] = 0.33, factor: Fraction = 0.1, warmup: Epochs = 0.0
) -> Schedule:
    """Times `factor` after each share `every` of the epochs."""
    return Schedule(lambda done: factor ** math.floor(done / (every * epochs) + 1e-9), warmup)


def plateau(
    epochs: int,
    *,
    factor: Annotated[float, (0.01, 0.99)] = 0.1,
    patience: Annotated[int, (0, 1000)] = 2,
    warmup: Epochs = 0.0,
) -> Schedule:
    """Times `factor` after more than `patience` epochs without a lower validation loss, as torch's
    ReduceLROnPlateau with threshold=0; those of the warm-up don't count. A retraining has no validation
    people: it hears the training loss."""
    return Plateau(factor, patience, warmup)


SCHEDULES: Registry = {
    "constant": constant, "cosine": cosine, "onecycle": onecycle, "step": step, "plateau": plateau,
}  # fmt: skip
