"""The scores of predictions, always over all 18 classes; the same for trials, analysis and `score`."""

from dataclasses import dataclass

import numpy as np

from dataset.labels import N_CLASSES, is_oldest


@dataclass(frozen=True)
class Scores:
    """Scores of a set of photos.

    `macro_f1` is the mean over all classes, with 0 for a class that is neither true nor predicted; `recall`
    (18,) is nan for a class without photos, `precision` (18,) for one that is never predicted, `f1` (18,)
    is 0 for both; `confusion` (18, 18) counts photos, rows by true class, columns by prediction.
    """

    macro_f1: float
    accuracy: float
    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray
    confusion: np.ndarray


def score(labels: np.ndarray, predicted: np.ndarray) -> Scores:
    """Scores of `predicted` (N,) against `labels` (N,), both 0..17. ValueError if N differs or is 0."""
    labels, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if labels.shape != predicted.shape or labels.size == 0:
        raise ValueError(
            f"{labels.size} labels and {predicted.size} predictions: give as many of each, at least one"
        )
    confusion = np.bincount(labels * N_CLASSES + predicted, minlength=N_CLASSES**2)
    confusion = confusion.reshape(N_CLASSES, N_CLASSES)
    hits, truth, given = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = 2 * hits / np.maximum(truth + given, 1)
    recall, precision = (
        np.where(photos > 0, hits / np.maximum(photos, 1), np.nan) for photos in (truth, given)
    )
    accuracy = float(hits.sum() / labels.size)
    return Scores(float(f1.mean()), accuracy, recall, precision, f1, confusion)


def recall_of_oldest(labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """Recall over the photos of people of 60 and over; None if there are none."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    oldest = is_oldest(labels)
    return float((labels == predicted)[oldest].mean()) if oldest.any() else None
