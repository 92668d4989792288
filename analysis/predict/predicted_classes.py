"""How often a submission predicts each class, beside the training data; and warnings of a collapse."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dataset.face_masks.labels import CLASS_NAMES, N_CLASSES

EXPECTED = 3.0  # photos; a class expected less often may be absent by chance (Poisson: 5 % at 3)
NEARLY_ALL = 0.9  # of the photos
FEW = 10  # photos; all of fewer may well be of one class


def training_fractions(counts: Sequence[Sequence[int] | None]) -> np.ndarray | None:
    """(18,): the fraction of each class in the training data, the mean over several runs' class counts (None:
    unknown); None if all are unknown."""
    known = [np.array(one) / sum(one) for one in counts if one and sum(one)]
    return np.mean(known, axis=0) if known else None


def predicted_classes(probabilities: np.ndarray, training: np.ndarray | None) -> list[dict[str, Any]]:
    """One row per class, in order: ans, class (its name), photos, fraction, training_fraction (or None)."""
    counts = np.bincount(probabilities.argmax(1), minlength=N_CLASSES)
    return [
        {
            "ans": label, "class": name, "photos": int(counts[label]),
            "fraction": round(float(counts[label] / counts.sum()), 4),
            "training_fraction": None if training is None else round(float(training[label]), 4),
        }
        for label, name in enumerate(CLASS_NAMES)
    ]  # fmt: skip


def collapse_warnings(classes: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each sign of a collapse: one class is nearly all predictions, or expected classes are
    missing."""
    photos = sum(row["photos"] for row in classes)
    found = []
    most = max(classes, key=lambda row: row["photos"])
    usual = most["training_fraction"] or 0.0
    if photos >= FEW and most["fraction"] >= NEARLY_ALL and usual < NEARLY_ALL / 2:
        found.append(
            f"{most['photos']:,} of {photos:,} predictions are '{most['class']}'"
            + (f", {usual:.1%} of the training photos" if usual else "")
            + ": the photos show one class, or this network does not tell the classes apart"
        )
    # If the fraction of a class is unknown, one photo in 18 is expected.
    missing = [row for row in classes if not row["photos"]]
    expected = [row["class"] for row in missing if photos * _fraction(row) >= EXPECTED]
    if expected:
        found.append(
            f"{len(missing)} of the {N_CLASSES} classes are never predicted, and count 0 in the macro-F1 if "
            f"they occur among the photos; by the training data these are expected: {', '.join(expected)}"
        )
    return found


def table_lines(classes: Sequence[dict[str, Any]]) -> list[str]:
    """The table of `predicted_classes` as lines for a terminal."""
    photos = sum(row["photos"] for row in classes)
    width = max(len(name) for name in CLASS_NAMES)
    shown = [f"{photos:,} photos predicted:".ljust(width + 2) + "   photos  fraction  in training"]
    for row in classes:
        known = row["training_fraction"]
        text = "unknown" if known is None else f"{known:.1%}"
        shown.append(f"  {row['class']:{width}}{row['photos']:9,}{row['fraction']:10.1%}{text:>13}")
    return shown


def _fraction(row: dict[str, Any]) -> float:
    known = row["training_fraction"]
    return 1 / N_CLASSES if known is None else known
