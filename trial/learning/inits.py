"""What the last layer of a network starts from.

An INITS builder returns None, or `initial(features (N, D), targets, groups (N,))`, which returns weight
(outputs, D) and bias of a layer over features. There is a target for each factor; a head of classes is one.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, NamedTuple

import numpy as np

from common.errors import UsageError
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
        return _discriminants(precise, targets, [shrinkage] * len(targets), balance, smoothing, temperature)

    return initial


def lda_cv(*, balance: Fraction = 0.0, temperature: Temperature = 1.0, smoothing: Smoothing = 0.4) -> Initial:
    """As `lda`, with the shrinkage of each factor chosen by cross-validation over groups of training photos.

    By the smallest log loss, in which all values of the factor count alike. `balance`, `temperature`,
    `smoothing`: as there.
    """

    def initial(features: np.ndarray, targets: Sequence[Target], groups: np.ndarray) -> Layer:
        precise = features.astype(np.float64)
        splits = splits_of(precise, groups)
        shrinkages = [chosen(precise, target, splits, balance, smoothing) for target in targets]
        logger.info(f"init=lda_cv: shrinkage {', '.join(f'{one:g}' for one in shrinkages)}")
        return _discriminants(precise, targets, shrinkages, balance, smoothing, temperature)

    return initial


class Split(NamedTuple):
    """Rows fitted and rows held out, with the Gram matrix (D, D) of the features fitted."""

    fitted: np.ndarray
    held: np.ndarray
    gram: np.ndarray


def splits_of(features: np.ndarray, groups: np.ndarray) -> list[Split]:
    """Of the groups, as even as can be; empty for photos of one group. Each photo is multiplied once."""
    from sklearn.model_selection import GroupKFold

    number = min(FOLDS, len(np.unique(groups)))
    if number < 2:
        return []
    rows = list(GroupKFold(number, shuffle=True, random_state=0).split(features, groups=groups))
    held = [features[part].T @ features[part] for _, part in rows]
    total = np.sum(held, axis=0)
    return [Split(fitted, part, total - gram) for (fitted, part), gram in zip(rows, held, strict=True)]


def chosen(
    features: np.ndarray, target: Target, splits: Sequence[Split], balance: float, smoothing: float
) -> float:
    """The one of SHRINKAGES with the smallest log loss of `target` on the groups held out, the mean over
    values of a mean over photos. -1 (estimated) without splits. Deterministic."""
    if not splits:
        return -1.0
    losses = np.zeros((len(SHRINKAGES), len(features)))
    for split in splits:
        known = target.part(split.fitted)
        means = _means(features[split.fitted], known, smoothing)
        covariance = means.scatter(split.gram) / len(split.fitted)
        for number, shrinkage in enumerate(SHRINKAGES):
            layer = _posterior(_shrunk(covariance, shrinkage), means.outputs, known, balance)
            losses[number, split.held] = _log_loss(features[split.held], layer, target.part(split.held))
    by_value = [losses[:, target.values == value].mean(1) for value in np.unique(target.values)]
    return SHRINKAGES[int(np.mean(by_value, axis=0).argmin())]


def _discriminants(
    features: np.ndarray, targets: Sequence[Target], shrinkages: Sequence[float], balance: float,
    smoothing: float, temperature: float,
) -> Layer:  # fmt: skip
    """The log posteriors of the values of each target, or of their subclasses, as outputs of one layer."""
    gram = cache(lambda: features.T @ features)  # once for all targets, if one needs it
    layers = []
    for target, shrinkage in zip(targets, shrinkages, strict=True):
        means = _means(features, target, smoothing)
        if shrinkage < 0:
            # With subclasses the covariance is that within numbers, which the residuals are of.
            within = means.kind if target.numbers is None else means.kind * 0
            covariance = _estimated(features - means.expected[means.kind], within)
        else:
            covariance = _shrunk(means.scatter(gram()) / len(features), shrinkage)
        layers.append(_posterior(covariance, means.outputs, target, balance))
    weights, biases = zip(*layers, strict=True)
    return np.concatenate(weights) / temperature, np.concatenate(biases) / temperature


def _shrunk(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    """Towards that of independent features that vary alike."""
    shrunk = (1 - shrinkage) * covariance
    np.fill_diagonal(shrunk, shrunk.diagonal() + shrinkage * np.trace(covariance) / len(covariance))
    return shrunk


def _estimated(residuals: np.ndarray, within: np.ndarray) -> np.ndarray:
    """(D, D) the covariance within values, each shrunk as Ledoit and Wolf do, of features scaled to a
    deviation of 1: that of scikit-learn's discriminant, whose least squares take most of its time."""
    from sklearn.covariance import ledoit_wolf
    from sklearn.preprocessing import StandardScaler

    covariance = np.zeros((residuals.shape[1],) * 2)
    for value in np.unique(within):
        own = within == value
        scaler = StandardScaler()
        shrunk, _ = ledoit_wolf(scaler.fit_transform(residuals[own]))
        covariance += own.mean() * scaler.scale_[:, None] * shrunk * scaler.scale_
    return covariance


def _posterior(covariance: np.ndarray, means: np.ndarray, target: Target, balance: float) -> Layer:
    """(weight (outputs, D), bias (outputs,)) of normal distributions with these `means` and one covariance. A
    value without a photo has the frequency of half a photo."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        weight = cho_solve(cho_factor(covariance), means.T).T
    except LinAlgError:
        raise UsageError(
            f"init: the {means.shape[1]} features of these photos don't vary in as many directions, so there "
            "is no discriminant; shrink their covariance (init.shrinkage=0.3), or take more photos"
        ) from None
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


class Means(NamedTuple):
    """Where the distributions lie: `outputs` (outputs, D). Photo i is expected at `expected[kind[i]]`; the
    `photos[k]` photos of a kind k have the mean `own[k]`. Arrays (K, D), (N,), (K,)."""

    outputs: np.ndarray
    expected: np.ndarray
    kind: np.ndarray
    own: np.ndarray
    photos: np.ndarray

    def scatter(self, gram: np.ndarray) -> np.ndarray:
        """(D, D) the sum of squares and products of the residuals; `gram`: of the features."""
        weighted = self.expected * self.photos[:, None]
        cross = self.own.T @ weighted
        return gram - cross - cross.T + self.expected.T @ weighted


def _means(features: np.ndarray, target: Target, smoothing: float) -> Means:
    """A value without a photo gets the mean of all photos.

    With `numbers`, the mean changes smoothly along them: at a number it is that of all photos, weighted by a
    normal kernel of their numbers. The subclasses of a band are its numbers at equally spaced quantiles. So
    photos on both sides of an edge shape both bands, and a band of few photos borrows from its neighbour.
    """
    every = features.mean(0)
    outputs = np.tile(every, (target.size * target.subclasses, 1))
    of = target.values if target.numbers is None else target.numbers
    there, kind, photos = np.unique(of, return_inverse=True, return_counts=True)
    own = np.stack([features[kind == number].mean(0) for number in range(len(there))])
    if target.numbers is None:
        outputs[there] = own
        if len(there) == len(features):  # nothing varies within a value: the covariance is that of all photos
            return Means(outputs, every[None], kind * 0, every[None], np.array([len(features)]))
        return Means(outputs, own, kind, own, photos)
    width = max(smoothing * target.numbers.std(), np.finfo(float).eps)

    def mean_at(at: np.ndarray) -> np.ndarray:
        kernel = np.exp(-(((at[:, None] - there) / width) ** 2) / 2) * photos
        return (kernel / kernel.sum(1, keepdims=True)).astype(features.dtype) @ own

    quantiles = (np.arange(target.subclasses) + 0.5) / target.subclasses
    for value in np.unique(target.values):
        # inverted_cdf: numbers that exist, so that the kernel has a photo however far apart the numbers are.
        at = np.quantile(target.numbers[target.values == value], quantiles, method="inverted_cdf")
        outputs[value * target.subclasses :][: target.subclasses] = mean_at(at)
    return Means(outputs, mean_at(there), kind, own, photos)


INITS: Registry = {"random": random, "lda": lda, "lda_cv": lda_cv}
