"""One fold of a trial, with its photos and its best epoch; early stopping."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from common.text import few
from dataset.split import absent_classes, fraction_of, split
from dataset.task import Task
from trial.metrics import DEFAULT, column_of
from trial.run_folder.predictions import probability_columns

if TYPE_CHECKING:
    from trial.fit import Epoch

logger = logging.getLogger(__name__)
MAX_NAMES = 20  # of classes, in a message


class Fold:
    """`train` and `validation`: the photos of groups trained on and held out, rows of `table`; `best`: the
    row in epochs.csv of the best epoch so far, by `metric` (a name in METRICS).

    `number` is from 0 to below `folds`; `train_fraction`: of the training groups.
    """

    def __init__(
        self, number: int, task: Task, table: pd.DataFrame, folds: int, seed: int,
        train_fraction: float = 1.0, metric: str = DEFAULT,
    ):  # fmt: skip
        self.number, self.metric = number, metric
        train, self.validation = split(table, number, folds, seed)
        self.train = fraction_of(train, train_fraction, seed)
        self.best: Mapping[str, float] | None = None
        for side, photos in (("training", self.train), ("validation", self.validation)):
            if absent := absent_classes(photos, task):
                counted = ", counted as 0" if metric == "macro_f1" else ""
                names = few(absent, MAX_NAMES)
                logger.warning(f"fold {number}: {side} lacks {len(absent)} classes{counted}: {names}")

    def keep_if_best(self, epoch: "Epoch") -> bool:
        """Keep the epoch as `best` if it is the best so far; return whether it is."""
        row, score = epoch.row(), column_of(self.metric)
        if self.best is not None and row[score] <= self.best[score]:
            return False
        self.best = row
        return True

    def predictions(self, epoch: "Epoch") -> pd.DataFrame:
        """Columns photo, group, fold, label, p00, ... of the validation photos."""
        known = self.validation[["photo", "group", "label"]].reset_index(drop=True)
        known.insert(2, "fold", self.number)
        assert epoch.probabilities is not None
        columns = probability_columns(epoch.probabilities.shape[1])
        return known.join(pd.DataFrame(epoch.probabilities, columns=columns))


class Patience:
    """Early stopping: over after `epochs` epochs without a better value of `on`; with 0 epochs never."""

    def __init__(self, epochs: int, on: Literal["score", "validation_loss"] = "score"):
        self.epochs, self.on, self.best, self.waited = epochs, on, -np.inf, 0

    def step(self, score: float, validation_loss: float) -> bool:
        """Record the epoch's score; True if training should stop."""
        value = score if self.on == "score" else -validation_loss
        self.waited = 0 if value > self.best else self.waited + 1
        self.best = max(self.best, value)
        return self.over

    @property
    def over(self) -> bool:
        """Whether training should stop."""
        return 0 < self.epochs <= self.waited

    def state(self) -> dict[str, Any]:
        """What `load` takes."""
        return {"best": float(self.best), "waited": self.waited}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from the `state` of an earlier part of the training."""
        vars(self).update(state)
