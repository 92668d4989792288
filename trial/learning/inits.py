"""What the last layer of a network starts from.

An INITS builder returns None, or `initial(features (N, D), values (N, factors), sizes)`, which returns
weight (sum of sizes, D) and bias of a layer over features: `values` are the index of each factor's value,
`sizes` the number of each factor's values. A head of classes is one factor.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np

from trial.choice import Fraction, Registry

Initial = Callable[[np.ndarray, np.ndarray, Sequence[int]], tuple[np.ndarray, np.ndarray]]


def random() -> None:
    """Random weights, as `trial.models.heads.initialise` draws them."""


def lda(
    *,
    shrinkage: Annotated[float, (-1, 1)] = -1.0,
    balance: Fraction = 0.0,
    temperature: Annotated[float, (0.01, 100)] = 1.0,
) -> Initial:
    """A linear discriminant for each factor, fitted to the backbone's features of the training photos.

    With features=cached and learning_rate=0 that is all; else training goes on from there. `shrinkage` of the
    covariance, from 0 to 1; -1: estimated (Ledoit and Wolf 2004). `balance`: 0 values as frequent as in
    training, 1 all alike. `temperature` divides the logits.
    """

    def initial(
        features: np.ndarray, values: np.ndarray, sizes: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            _discriminant(features, own, size, shrinkage, balance)
            for own, size in zip(values.T, sizes, strict=True)
        ]
        weights, biases = zip(*parts, strict=True)
        return np.concatenate(weights) / temperature, np.concatenate(biases) / temperature

    return initial


def _discriminant(
    features: np.ndarray, values: np.ndarray, size: int, shrinkage: float, balance: float
) -> tuple[np.ndarray, np.ndarray]:
    """(weight (size, D), bias (size,)) of the log posteriors of the values. A value without a photo gets the
    mean of all photos, and the frequency of half a photo."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    features, counts = features.astype(np.float64), np.bincount(values, minlength=size)
    # With one photo of each value nothing varies within a value: the covariance is that of all photos.
    within = values if (counts > 1).any() else np.zeros_like(values)
    shrink: float | str = "auto" if shrinkage < 0 else shrinkage
    fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrink).fit(features, within)
    means = np.tile(features.mean(0), (size, 1))
    for value in np.flatnonzero(counts):
        means[value] = features[values == value].mean(0)
    weight = np.linalg.solve(fitted.covariance_, means.T).T
    counts = np.maximum(counts, 0.5)
    bias = (1 - balance) * np.log(counts / counts.sum()) - (weight * means).sum(1) / 2
    return weight, bias


INITS: Registry = {"random": random, "lda": lda}
