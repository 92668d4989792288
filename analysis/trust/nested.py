"""Nested estimates: what is fitted to answers is scored on groups that it was not fitted to."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from analysis.trust.answers import Counts, count
from analysis.trust.bootstrap import Interval, differences, intervals
from common.errors import UsageError
from dataset.split import fold_of
from trial.probabilities import log_given

FOLDS = 5
Rows = np.ndarray  # bool (photos,)
Apply = Callable[[Rows], np.ndarray]  # probabilities (rows, classes)


def assign_folds(groups: np.ndarray, labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """(photos,) the fold of each photo, with whole groups: FOLDS, or fewer if there are fewer groups.
    UsageError if there is only one group."""
    many = len(np.unique(groups))
    if many < 2:
        raise UsageError("a nested estimate needs 2 groups or more")
    table = pd.DataFrame({"group": groups, "label": labels})
    return fold_of(table, min(FOLDS, many), seed).to_numpy()


def out_of_fold(fit: Callable[[Rows], Apply], fold: np.ndarray) -> np.ndarray:
    """(photos, classes) the answers for each fold of what `fit` makes of the other folds' photos."""
    parts = {int(one): fit(fold != one)(fold == one) for one in np.unique(fold)}
    found = np.empty((len(fold), next(iter(parts.values())).shape[1]))
    for one, probabilities in parts.items():
        found[fold == one] = probabilities
    return found


def counts_of_probabilities(
    labels: np.ndarray, groups: np.ndarray, probabilities: Sequence[np.ndarray]
) -> Counts:
    """The counts of several answers (photos, classes) to the same photos."""
    predicted = np.stack([one.argmax(1) for one in probabilities], 1)
    given = np.stack([log_given(one, labels) for one in probabilities], 1)
    return count(labels, predicted, groups, probabilities[0].shape[1], given)


def gains(
    labels: np.ndarray, groups: np.ndarray, probabilities: Sequence[np.ndarray], metric: str
) -> tuple[list[Interval], list[Interval]]:
    """(The scores of several answers to the same photos, what each scores more than the first: paired over
    the groups)."""
    counts = counts_of_probabilities(labels, groups, probabilities)
    return intervals(counts, metric), differences(counts, 0, metric)
