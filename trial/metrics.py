"""The scores of predictions, the same for trials, analysis and `score`; METRICS: those to choose by."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from common.text import fixed_text
from trial.probabilities import log_of

DEFAULT = "macro_f1"


@dataclass(frozen=True)
class Scores:
    """Scores of a set of photos.

    `recall` (n_classes,) is nan for a class without photos, `precision` for one that is never predicted, `f1`
    is 0 for both; `confusion` (n_classes, n_classes) counts photos, rows by true class, columns by
    prediction; `true_probability` (photos,): the probability given to each photo's class, None if only
    predicted classes are known.
    """

    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray
    confusion: np.ndarray
    true_probability: np.ndarray | None = None

    @property
    def macro_f1(self) -> float:
        return macro_f1(self)

    @property
    def accuracy(self) -> float:
        return accuracy(self)


def macro_f1(scores: Scores) -> float:
    """Mean F1 over all classes; a class that is neither true nor predicted counts 0."""
    return float(scores.f1.mean())


def balanced_accuracy(scores: Scores) -> float:
    """Mean recall over the classes that have photos."""
    return float(np.nanmean(scores.recall))


def accuracy(scores: Scores) -> float:
    """Fraction of the photos whose class is predicted."""
    return float(scores.confusion.trace() / scores.confusion.sum())


def negative_log_loss(scores: Scores) -> float:
    """Negative log loss: mean log of the probability given to each photo's class, so that higher is better.

    ValueError if only classes were predicted, without probabilities.
    """
    if scores.true_probability is None:
        raise ValueError("the log loss needs probabilities, not only predicted classes")
    return float(log_of(scores.true_probability).mean())


METRICS: dict[str, Callable[[Scores], float]] = {
    "macro_f1": macro_f1, "balanced_accuracy": balanced_accuracy, "accuracy": accuracy,
    "log_loss": negative_log_loss,
}  # fmt: skip


def column_of(metric: str) -> str:
    """The column of epochs.csv and trials.csv with the values of this metric: negative_log_loss for log_loss,
    the metric's name for all others."""
    return METRICS[metric].__name__


def title_of(metric: str) -> str:
    """What the metric's values are called in sentences: 'macro-F1', 'negative log loss'."""
    return "macro-F1" if metric == "macro_f1" else column_of(metric).replace("_", " ")


def scores_text(metric: str, score: float, macro_f1: float, accuracy: float, between: str = "  ") -> str:
    """'macro-F1 0.5000  accuracy 0.6000', with the score first if it is by another metric."""
    named = {title_of(metric): score, "macro-F1": macro_f1, "accuracy": accuracy}
    return between.join(f"{name} {fixed_text(value, 4)}" for name, value in named.items())


def score(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> Scores:
    """Scores of `predicted` (N,) against `labels` (N,), both from 0 to n_classes - 1. ValueError if N differs
    or is 0."""
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
    return Scores(recall, precision, f1, confusion)


def score_probabilities(labels: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Scores of `probabilities` (N, n_classes) against `labels` (N,); the most probable class is predicted.
    ValueError as `score`."""
    labels = np.asarray(labels, dtype=np.int64)
    scores = score(labels, probabilities.argmax(1), probabilities.shape[1])
    return replace(scores, true_probability=probabilities[np.arange(len(labels)), labels])


def recall_of(some: Collection[int], labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """Recall over the photos of `some` classes (their labels); None if there are none."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    of_some = np.isin(labels, list(some))
    return float((labels == predicted)[of_some].mean()) if of_some.any() else None
