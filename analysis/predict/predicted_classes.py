"""How often a submission predicts each class, beside the training data; and warnings of a collapse."""

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np

from common.text import few
from dataset.task import Task

EXPECTED = 3.0  # photos; a class expected less often may be absent by chance (Poisson: 5 % at 3)
OF_CLASSES = 20  # with more classes, more photos are expected: else some would always be missed by chance
NEARLY_ALL = 0.9  # of the photos
FEW = 10  # photos; all of fewer may well be of one class
NAMES = 20  # of classes in a sentence
ROWS = 60  # of the table in a terminal
WIDTH = 40  # of a name there


def training_fractions(counts: Sequence[Sequence[int] | None]) -> np.ndarray | None:
    """(classes,): the fraction of each class in the training data, the mean over several runs' class counts
    (None: unknown); None if all are unknown."""
    known = [np.array(one) / sum(one) for one in counts if one and sum(one)]
    return np.mean(known, axis=0) if known else None


def predicted_classes(
    probabilities: np.ndarray, training: np.ndarray | None, task: Task
) -> list[dict[str, Any]]:
    """One row per class, in order: ans (as in submission.csv), class (its name), photos, fraction,
    training_fraction (or None)."""
    counts = np.bincount(probabilities.argmax(1), minlength=task.n_classes)
    return [
        {
            "ans": label if answer == str(label) else answer, "class": name, "photos": int(counts[label]),
            "fraction": round(float(counts[label] / counts.sum()), 4),
            "training_fraction": None if training is None else round(float(training[label]), 4),
        }
        for label, (name, answer) in enumerate(zip(task.classes, task.answers, strict=True))
    ]  # fmt: skip


def collapse_warnings(classes: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each sign of a collapse: one class is nearly all predictions, or expected classes are
    missing."""
    photos, n_classes = sum(row["photos"] for row in classes), len(classes)
    found = []
    most = max(classes, key=lambda row: row["photos"])
    usual = most["training_fraction"] or 0.0
    if photos >= FEW and most["fraction"] >= NEARLY_ALL and usual < NEARLY_ALL / 2:
        found.append(
            f"{most['photos']:,} of {photos:,} predictions are '{most['class']}'"
            + (f", {usual:.1%} of the training photos" if usual else "")
            + ": the photos show one class, or this network does not tell the classes apart"
        )
    # If the fraction of a class is unknown, that of even classes is expected.
    missing = [row for row in classes if not row["photos"]]
    enough = EXPECTED + log(max(1.0, n_classes / OF_CLASSES))  # as many missed by chance as of OF_CLASSES
    expected = [row["class"] for row in missing if photos * _fraction(row, n_classes) >= enough]
    if expected:
        one = len(missing) == 1
        are, count, they = ("is", "counts", "it occurs") if one else ("are", "count", "they occur")
        found.append(
            f"{len(missing)} of the {n_classes} classes {are} never predicted, and {count} 0 in the macro-F1 "
            f"if {they} among the photos; expected by the training data: {few(expected, NAMES)}"
        )
    return found


def table_lines(classes: Sequence[dict[str, Any]]) -> list[str]:
    """The table of `predicted_classes` as lines for a terminal; of very many classes, the most frequent."""
    photos = sum(row["photos"] for row in classes)
    shown = list(classes)
    if len(classes) > ROWS:
        shown = sorted(classes, key=lambda row: -row["photos"])[: ROWS // 2]
    width = min(WIDTH, max(len(row["class"]) for row in shown))
    width = max(width, len(f"{photos:,} photos predicted:") - 2)
    lines = [f"{photos:,} photos predicted:".ljust(width + 2) + "   photos  fraction  in training"]
    for row in shown:
        known = row["training_fraction"]
        text = "unknown" if known is None else f"{known:.1%}"
        lines.append(f"  {row['class']:{width}}{row['photos']:9,}{row['fraction']:10.1%}{text:>13}")
    if more := len(classes) - len(shown):
        others = photos - sum(row["photos"] for row in shown)
        lines.append(f"  and {more:,} more classes with {others:,} photos; submission.json has all")
    return lines


def _fraction(row: dict[str, Any], n_classes: int) -> float:
    known = row["training_fraction"]
    return 1 / n_classes if known is None else known
