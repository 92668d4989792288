"""What the last layer of a network starts from.

An INITS builder returns None, or `initial(features (N, D), targets, groups (N,))`, which returns weight
(outputs, D) and bias of a layer over features. There is a target for each factor; a head of classes is one.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import numpy as np

from trial.choice import Fraction, Registry

logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """What some outputs of a layer tell apart: `values` (N,), the index of each photo's value, below `size`.

    With several outputs for each value (`subclasses`), `numbers` (N,) are what the values are bands of.
    """

    values: np.ndarray
    size: int
    subclasses: int = 1
    numbers: np.ndarray | None = None

    def part(self, rows: np.ndarray) -> "Target":
        """Of these photos only."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return self._replace(values=self.values[rows], numbers=numbers)


Layer = tuple[np.ndarray, np.ndarray]
Initial = Callable[[np.ndarray, Sequence[Target], np.ndarray], Layer]
Smoothing = Annotated[float, (0.01, 10)]
Temperature = Annotated[float, (0.01, 100)]
SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85)  # that lda_cv chooses from
FOLDS = 5  # of lda_cv


def random() -> None:
    """Random weights, as `trial.models.heads.initialise` draws them."""


def lda(
    *,
    shrinkage: Annotated[float, (-1, 1)] = -1.0,
    balance: Fraction = 0.0,
    temperature: Temperature = 1.0,
    smoothing: Smoothing = 0.4,
) -> Initial:
    """A linear discriminant for each factor, fitted to the backbone's features of the training photos.

    With features=cached and learning_rate=0 that is all; else training goes on from there. `shrinkage` of the
    covariance, from 0 to 1; -1: estimated (Ledoit and Wolf 2004). `balance`: 0 values as frequent as in
    training, 1 all alike. `temperature` divides the logits. `smoothing`: for head.subclasses, how far the
    photos of a number count for others, as the standard deviation of a normal kernel relative to that of the
    numbers.
    """

    def initial(features: np.ndarray, targets: Sequence[Target], groups: np.ndarray) -> Layer:
        precise = features.astype(np.float64)
        return _stacked(
            [_discriminant(precise, target, shrinkage, balance, smoothing) for target in targets], temperature
        )

    return initial


def lda_cv(*, balance: Fraction = 0.0, temperature: Temperature = 1.0, smoothing: Smoothing = 0.4) -> Initial:
    """As `lda`, with the shrinkage of each factor chosen by cross-validation over groups of training photos.

    By the smallest log loss, in which all values of the factor count alike. `balance`, `temperature`,
    `smoothing`: as there.
    """

    def initial(features: np.ndarray, targets: Sequence[Target], groups: np.ndarray) -> Layer:
        precise = features.astype(np.float64)
        shrinkages = [chosen(features, target, groups, balance, smoothing) for target in targets]
        logger.info(f"init=lda_cv: shrinkage {', '.join(f'{one:g}' for one in shrinkages)}")
        return _stacked(
            [
                _discriminant(precise, target, shrinkage, balance, smoothing)
                for target, shrinkage in zip(targets, shrinkages, strict=True)
            ],
            temperature,
        )

    return initial


def chosen(
    features: np.ndarray, target: Target, groups: np.ndarray, balance: float, smoothing: float
) -> float:
    """The one of SHRINKAGES with the smallest log loss of `target` on groups held out, the mean over values
    of a mean over photos. -1 (estimated) for photos of one group. Deterministic."""
    from sklearn.covariance import empirical_covariance, shrunk_covariance
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2:
        return -1.0
    losses = np.zeros((len(SHRINKAGES), len(features)))
    for train, held in GroupKFold(folds, shuffle=True, random_state=0).split(features, groups=groups):
        known = target.part(train)
        means, residuals = _means(features[train], known, smoothing)
        covariance = empirical_covariance(residuals, assume_centered=True)
        for number, shrinkage in enumerate(SHRINKAGES):
            layer = _posterior(shrunk_covariance(covariance, shrinkage=shrinkage), means, known, balance)
            losses[number, held] = _log_loss(features[held], layer, target.part(held))
    by_value = [losses[:, target.values == value].mean(1) for value in np.unique(target.values)]
    return SHRINKAGES[int(np.mean(by_value, axis=0).argmin())]


def _stacked(layers: Sequence[Layer], temperature: float) -> Layer:
    """The outputs of several layers as those of one."""
    weights, biases = zip(*layers, strict=True)
    return np.concatenate(weights) / temperature, np.concatenate(biases) / temperature


def _discriminant(
    features: np.ndarray, target: Target, shrinkage: float, balance: float, smoothing: float
) -> Layer:
    """The log posteriors of the values, or of their subclasses."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    means, residuals = _means(features, target, smoothing)
    # With one photo of each value nothing varies within a value: the covariance is that of all photos. With
    # subclasses it is that within numbers, which the residuals are of.
    by_value = target.numbers is None and (np.bincount(target.values) > 1).any()
    within = target.values if by_value else np.zeros_like(target.values)
    shrink: float | str = "auto" if shrinkage < 0 else shrinkage
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrink).fit(residuals, within)
    return _posterior(fitted.covariance_, means, target, balance)


def _posterior(covariance: np.ndarray, means: np.ndarray, target: Target, balance: float) -> Layer:
    """(weight (outputs, D), bias (outputs,)) of normal distributions with these `means` and one covariance. A
    value without a photo has the frequency of half a photo."""
    weight = np.linalg.solve(covariance, means.T).T
    counts = np.maximum(np.bincount(target.values, minlength=target.size), 0.5)
    prior = (1 - balance) * np.log(counts / counts.sum())
    return weight, np.repeat(prior, target.subclasses) - (weight * means).sum(1) / 2


def _log_loss(features: np.ndarray, layer: Layer, target: Target) -> np.ndarray:
    """(N,) the negative log-probability of each photo's value."""
    from scipy.special import logsumexp

    weight, bias = layer
    outputs = (features @ weight.T + bias).astype(np.float64)
    by_value = logsumexp(outputs.reshape(len(features), target.size, -1), axis=2)
    return logsumexp(by_value, axis=1) - by_value[np.arange(len(features)), target.values]


def _means(features: np.ndarray, target: Target, smoothing: float) -> Layer:
    """(means (outputs, D), residuals (N, D)). A value without a photo gets the mean of all photos.

    With `numbers`, the mean changes smoothly along them: at a number it is that of all photos, weighted by a
    normal kernel of their numbers. The subclasses of a band are its numbers at equally spaced quantiles. So
    photos on both sides of an edge shape both bands, and a band of few photos borrows from its neighbour.
    """
    means = np.tile(features.mean(0), (target.size * target.subclasses, 1))
    if target.numbers is None:
        for value in np.unique(target.values):
            means[value] = features[target.values == value].mean(0)
        alone = len(np.unique(target.values)) == len(target.values)
        return means, features - (features.mean(0) if alone else means[target.values])
    numbers, index = np.unique(target.numbers, return_inverse=True)
    photos = np.bincount(index)
    own = np.stack([features[index == number].mean(0) for number in range(len(numbers))])
    width = max(smoothing * target.numbers.std(), np.finfo(float).eps)

    def mean_at(at: np.ndarray) -> np.ndarray:
        kernel = np.exp(-(((at[:, None] - numbers) / width) ** 2) / 2) * photos
        return (kernel / kernel.sum(1, keepdims=True)).astype(features.dtype) @ own

    quantiles = (np.arange(target.subclasses) + 0.5) / target.subclasses
    for value in np.unique(target.values):
        # inverted_cdf: numbers that exist, so that the kernel has a photo however far apart the numbers are.
        at = np.quantile(target.numbers[target.values == value], quantiles, method="inverted_cdf")
        means[value * target.subclasses :][: target.subclasses] = mean_at(at)
    return means, features - mean_at(numbers)[index]


INITS: Registry = {"random": random, "lda": lda, "lda_cv": lda_cv}
