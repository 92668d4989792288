"""One fold of a trial: who learns, who is held out, and the best epoch so far."""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
from torch import nn

from dataset.cache.arrays import Uncached
from dataset.split import absent_classes, fraction_of, split
from trial.compute import Compute
from trial.config import TrialConfig
from trial.data import batches
from trial.data.preprocessing import Preprocessing
from trial.fit import Epoch, fit
from trial.record import PROBABILITIES


class Fold:
    """`validation`: the photos of the people held out, as they are; `best`: the epoch of the highest
    macro-F1 on them so far."""

    def __init__(self, number: int, table: pd.DataFrame, config: TrialConfig):
        self.number, self.config = number, config
        train, self.validation = split(table, number, config.folds, config.seed)
        self.learning = fraction_of(train, config.train_fraction, config.seed)
        self.best: Epoch | None = None
        for side, photos in (("training", self.learning), ("validation", self.validation)):
            if absent := absent_classes(photos):
                what = f"fold {number}: {side} lacks {len(absent)} classes, counted as 0: {', '.join(absent)}"
                print(what, file=sys.stderr)

    def train(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        compute: Compute,
        pixels: np.ndarray | Uncached,
    ) -> Iterator[Epoch]:
        train, counts = batches.training(self.learning, preprocessing, self.config, compute, pixels)
        check = batches.Photos(self.validation, preprocessing, pixels)
        validation = batches.loader(check, batches.EVALUATED * self.config.batch_size)
        return fit(network, preprocessing, self.config, compute, counts, train, validation)

    def keep_if_best(self, epoch: Epoch) -> bool:
        """Whether this epoch is the best so far; it is then kept as `best`."""
        if self.best is not None and _macro_f1(epoch) <= _macro_f1(self.best):
            return False
        self.best = epoch
        return True

    def answers(self, epoch: Epoch) -> pd.DataFrame:
        """Columns photo, person, fold, label, p00..p17 of the people held out."""
        known = self.validation[["photo", "person", "label"]].reset_index(drop=True)
        known.insert(2, "fold", self.number)
        return known.join(pd.DataFrame(epoch.probabilities, columns=PROBABILITIES))


def _macro_f1(epoch: Epoch) -> float:
    assert epoch.scores is not None
    return epoch.scores.macro_f1


class Patience:
    """Counts epochs without a better `patience_on`."""

    def __init__(self, config: TrialConfig):
        self.epochs, self.on, self.best, self.waited = config.patience, config.patience_on, -np.inf, 0

    def is_over_after(self, macro_f1: float, validation_loss: float) -> bool:
        """Whether this epoch, the next one, is one too many."""
        value = macro_f1 if self.on == "macro_f1" else -validation_loss
        self.waited = 0 if value > self.best else self.waited + 1
        self.best = max(self.best, value)
        return 0 < self.epochs <= self.waited
