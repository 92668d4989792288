"""One fold of a trial, with its photos and its best epoch; early stopping."""

import logging
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from dataset.split import absent_classes, fraction_of, split
from dataset.task import Task
from trial.record import probability_columns

if TYPE_CHECKING:
    from trial.fit import Epoch

logger = logging.getLogger(__name__)


class Fold:
    """`train` and `validation`: the photos of groups trained on and held out, rows of `table`; `best`: the
    epoch with the highest macro-F1 so far.

    `number` is from 0 to below `folds`; `train_fraction`: of the training groups.
    """

    def __init__(self, number: int, task: Task, table: pd.DataFrame, folds: int, seed: int, train_fraction: float = 1.0):
        self.number = number
        train, self.validation = split(table, number, folds, seed)
        self.train = fraction_of(train, train_fraction, seed)
        self.best: Epoch | None = None
        for side, photos in (("training", self.train), ("validation", self.validation)):
            if absent := absent_classes(photos, task):
                names = ", ".join(absent)
                logger.warning(f"fold {number}: {side} lacks {len(absent)} classes, counted as 0: {names}")

    def keep_if_best(self, epoch: "Epoch") -> bool:
        """Keep the epoch as `best` if it is the best so far; return whether it is."""
        if self.best is not None and _macro_f1(epoch) <= _macro_f1(self.best):
            return False
        self.best = epoch
        return True

    def predictions(self, epoch: "Epoch") -> pd.DataFrame:
        """Columns photo, group, fold, label, p00, ... of the validation photos."""
        known = self.validation[["photo", "group", "label"]].reset_index(drop=True)
        known.insert(2, "fold", self.number)
        assert epoch.probabilities is not None
        columns = probability_columns(epoch.probabilities.shape[1])
        return known.join(pd.DataFrame(epoch.probabilities, columns=columns))


def _macro_f1(epoch: "Epoch") -> float:
    assert epoch.scores is not None
    return epoch.scores.macro_f1


class Patience:
    """Early stopping: over after `epochs` epochs without a better value of `on`; with 0 epochs never."""

    def __init__(self, epochs: int, on: Literal["macro_f1", "validation_loss"] = "macro_f1"):
        self.epochs, self.on, self.best, self.waited = epochs, on, -np.inf, 0

    def step(self, macro_f1: float, validation_loss: float) -> bool:
        """Record the epoch's score; True if training should stop."""
        value = macro_f1 if self.on == "macro_f1" else -validation_loss
        self.waited = 0 if value > self.best else self.waited + 1
        self.best = max(self.best, value)
        return 0 < self.epochs <= self.waited
