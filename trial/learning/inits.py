"""What the last layer of a network starts from.

An INITS builder returns None, or `initial(features (N, D), targets)`, which returns weight (outputs, D) and
bias of a layer over features. There is a target for each factor; a head of classes is one.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import numpy as np

from trial.choice import Fraction, Registry


class Target(NamedTuple):
    """What some outputs of a layer tell apart: `values` (N,), the index of each photo's value, below `size`.

    With several outputs for each value (`subclasses`), `numbers` (N,) are what the values are bands of.
    """

    values: np.ndarray
    size: int
    subclasses: int = 1
    numbers: np.ndarray | None = None


Initial = Callable[[np.ndarray, Sequence[Target]], tuple[np.ndarray, np.ndarray]]


def random() -> None:
    """Random weights, as `trial.models.heads.initialise` draws them."""


def lda(
    *,
    shrinkage: Annotated[float, (-1, 1)] = -1.0,
    balance: Fraction = 0.0,
    temperature: Annotated[float, (0.01, 100)] = 1.0,
    smoothing: Annotated[float, (0.01, 10)] = 0.4,
) -> Initial:
    """A linear discriminant for each factor, fitted to the backbone's features of the training photos.

    With features=cached and learning_rate=0 that is all; else training goes on from there. `shrinkage` of the
    covariance, from 0 to 1; -1: estimated (Ledoit and Wolf 2004). `balance`: 0 values as frequent as in
    training, 1 all alike. `temperature` divides the logits. `smoothing`: for head.subclasses, how far in
    numbers a mean reaches beyond its own, as the standard deviation of a normal kernel relative to the
    numbers' own.
    """

    def initial(features: np.ndarray, targets: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        precise = features.astype(np.float64)
        parts = [_discriminant(precise, target, shrinkage, balance, smoothing) for target in targets]
        weights, biases = zip(*parts, strict=True)
        return np.concatenate(weights) / temperature, np.concatenate(biases) / temperature

    return initial


def _discriminant(
    features: np.ndarray, target: Target, shrinkage: float, balance: float, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """(weight (outputs, D), bias (outputs,)) of the log posteriors of the values, or of their subclasses. A
    value without a photo gets the mean of all photos, and the frequency of half a photo."""
    values, size = target.values, target.size
    counts = np.bincount(values, minlength=size)
    if target.numbers is None:
        means = np.tile(features.mean(0), (size, 1))
        for value in np.flatnonzero(counts):
            means[value] = features[values == value].mean(0)
        # With one photo of each value nothing varies within a value: the covariance is that of all photos.
        within = values if (counts > 1).any() else np.zeros_like(values)
        covariance = _covariance(features, within, shrinkage)
    else:
        means, residuals = _along(features, target, smoothing)
        covariance = _covariance(residuals, np.zeros_like(values), shrinkage)
    weight = np.linalg.solve(covariance, means.T).T
    counts = np.maximum(counts, 0.5)
    prior = (1 - balance) * np.log(counts / counts.sum())
    return weight, np.repeat(prior, target.subclasses) - (weight * means).sum(1) / 2


def _covariance(features: np.ndarray, within: np.ndarray, shrinkage: float) -> np.ndarray:
    """(D, D) the shrunk covariance within the values `within` (N,)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    shrink: float | str = "auto" if shrinkage < 0 else shrinkage
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrink).fit(features, within).covariance_


def _along(features: np.ndarray, target: Target, smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """(means (outputs, D), residuals (N, D)) of features whose mean changes smoothly with the numbers: the
    mean at a number is one of all photos, weighted by a normal kernel of their numbers.

    The subclasses of a band are its numbers at equally spaced quantiles. So photos on both sides of an edge
    shape both bands, and a mean of few photos, as of the last band, borrows from the numbers before.
    """
    assert target.numbers is not None
    numbers, index = np.unique(target.numbers, return_inverse=True)
    photos = np.bincount(index)
    own = np.stack([features[index == number].mean(0) for number in range(len(numbers))])
    width = max(smoothing * target.numbers.std(), np.finfo(float).eps)

    def mean_at(at: np.ndarray) -> np.ndarray:
        kernel = np.exp(-(((at[:, None] - numbers) / width) ** 2) / 2) * photos
        return (kernel / kernel.sum(1, keepdims=True)) @ own

    means = np.tile(features.mean(0), (target.size * target.subclasses, 1))
    quantiles = (np.arange(target.subclasses) + 0.5) / target.subclasses
    for value in np.unique(target.values):
        # inverted_cdf: numbers that exist, so that the kernel has a photo however far apart the numbers are.
        at = np.quantile(target.numbers[target.values == value], quantiles, method="inverted_cdf")
        means[value * target.subclasses :][: target.subclasses] = mean_at(at)
    return means, features - mean_at(numbers.astype(float))[index]


INITS: Registry = {"random": random, "lda": lda}
