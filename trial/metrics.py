"""The one scoring function, for trial, analysis and `score`: always over all 18 classes."""

from dataclasses import dataclass

import numpy as np

from dataset.labels import N_CLASSES, is_oldest


@dataclass(frozen=True)
class Scores:
    """`macro_f1` over all classes, absent ones counting 0; `recall` (18,) is nan where a class
    has no photos; `confusion` (18, 18) counts photos, rows the truth, columns the answer."""

    macro_f1: float
    accuracy: float
    recall: np.ndarray
    confusion: np.ndarray


def score(labels: np.ndarray, answers: np.ndarray) -> Scores:
    """Scores of `answers` (N,) against `labels` (N,), both 0..17. ValueError where they don't match."""
    labels, answers = np.asarray(labels, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    if labels.shape != answers.shape or labels.size == 0:
        raise ValueError(f"{labels.size} labels and {answers.size} answers: nothing to score")
    confusion = np.bincount(labels * N_CLASSES + answers, minlength=N_CLASSES**2)
    confusion = confusion.reshape(N_CLASSES, N_CLASSES)
    hits, truth, given = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = 2 * hits / np.maximum(truth + given, 1)
    recall = np.where(truth > 0, hits / np.maximum(truth, 1), np.nan)
    return Scores(float(f1.mean()), float(hits.sum() / labels.size), recall, confusion)


def recall_of_oldest(labels: np.ndarray, answers: np.ndarray) -> float | None:
    """The fraction of photos of people of 60 and over that are answered right; None without such photos."""
    labels, answers = np.asarray(labels), np.asarray(answers)
    oldest = is_oldest(labels)
    return float((labels == answers)[oldest].mean()) if oldest.any() else None
