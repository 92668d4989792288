"""The scores of predictions, always over all classes; the same for trials, analysis and `score`."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np



@dataclass(frozen=True)
class Scores:
    """Scores of a set of photos.

    `macro_f1` is the mean over all classes, with 0 for a class that is neither true nor predicted; `recall`
    (n_classes,) is nan for a class without photos, `precision` for one that is never predicted, `f1` is 0 for
    both; `confusion` (n_classes, n_classes) counts photos, rows by true class, columns by prediction.
    """

    macro_f1: float
    accuracy: float
    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray
    confusion: np.ndarray


def score(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> Scores:
    """Scores of `predicted` (N,) against `labels` (N,), both from 0 to n_classes - 1. ValueError if N differs or is 0."""
    labels, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if labels.shape != predicted.shape or labels.size == 0:
        raise ValueError(
            f"{labels.size} labels and {predicted.size} predictions: give as many of each, at least one"
        )
    confusion = np.bincount(labels * n_classes + predicted, minlength=n_classes**2)
    confusion = confusion.reshape(n_classes, n_classes)
    hits, truth, given = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = 2 * hits / np.maximum(truth + given, 1)
    recall, precision = (
        np.where(photos > 0, hits / np.maximum(photos, 1), np.nan) for photos in (truth, given)
    )
    accuracy = float(hits.sum() / labels.size)
    return Scores(float(f1.mean()), accuracy, recall, precision, f1, confusion)


def recall_of(some: Collection[int], labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """Recall over the photos of `some` classes (their labels); None if there are none."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    of_some = np.isin(labels, some)
    return float((labels == predicted)[of_some].mean()) if of_some.any() else None
