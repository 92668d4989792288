"""How far probabilities can be believed: temperature, expected calibration error, reliability."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from trial.probabilities import log_of

BINS = 10
SHARPEST, FLATTEST = 0.05, 20.0  # temperatures that are tried


def temperature_of(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes the log loss smallest (Guo and others 2017).

    scikit-learn's CalibratedClassifierCV(method="temperature") finds the same one, but it takes a classifier,
    not probabilities, and no labels among which a class is missing, as rare ones often are.
    """
    logits, rows = log_of(probabilities), np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        top = scaled.max(1)
        return float((np.log(np.exp(scaled - top[:, None]).sum(1)) + top - scaled[rows, labels]).mean())

    found = minimize_scalar(log_loss, bounds=np.log([SHARPEST, FLATTEST]), method="bounded")
    return float(np.exp(found.x))


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """How often photos predicted with some confidence are predicted correctly.

    A row per bin of the confidence (the highest probability; all BINS are equally wide) that has photos: low,
    high, photos, confidence (its mean) and accuracy.
    """
    confidence = probabilities.max(1).astype(np.float64)
    right = probabilities.argmax(1) == labels
    at = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
    photos = np.bincount(at, minlength=BINS)
    rows = np.flatnonzero(photos)
    sums = (np.bincount(at, weights=one, minlength=BINS)[rows] for one in (confidence, right))
    means = [one / photos[rows] for one in sums]
    return pd.DataFrame(
        {"low": rows / BINS, "high": (rows + 1) / BINS, "photos": photos[rows],
         "confidence": means[0], "accuracy": means[1]}
    )  # fmt: skip


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error of a `reliability` table: the mean difference between confidence and
    accuracy, by photos (Naeini and others 2015)."""
    apart = (table["confidence"] - table["accuracy"]).abs()
    return float((apart * table["photos"]).sum() / max(1, table["photos"].sum()))
