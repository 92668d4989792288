"""An assessor for trials that report folds, not epochs: it drops a recipe after the folds that show that it
can't win."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nni.assessor import Assessor, AssessResult
from scipy.stats import wilcoxon

from tuners.chosen import CAN_NOT_WIN
from tuners.errors import UsageError, count_errors, is_number
from tuners.reports import REPORTS_FOLDS, curve_of
from tuners.search import Search
from tuners.study import experiment_folder

LARGEST = 0.5
DIGITS = 9  # to which fold scores are compared: they come from means

_logger = logging.getLogger("tuners.folds")


@dataclass(frozen=True)
class FoldTest:
    """When a trial of several folds, trained one by one, is dropped.

    Its folds so far are paired with the same folds of the best trial that ran to its end: it is dropped if
    they are worse on average, and the one-sided Wilcoxon signed-rank test gives less than `p`. The smallest
    possible p after n folds is 1/2^n, so that with five folds `p` must be above .0625: then a trial can be
    dropped after its fourth fold. UsageError if none could be before its last fold, where nothing is left to
    save.
    """

    folds: int = 5
    p: float = 0.1

    def __post_init__(self) -> None:
        errors = count_errors(2, folds=self.folds)
        if not is_number(self.p) or not 0 < self.p <= LARGEST:
            errors.append(f"p: {self.p!r} is not a number above 0 and at most {LARGEST:g}")
        if errors:
            raise UsageError("; ".join(errors))
        if self.first >= self.folds:
            smallest = 0.5 ** (self.folds - 1)
            one = f"give p above {smallest:g}, or " if smallest < LARGEST else ""
            raise UsageError(
                f"p: {self.p:g} can't stop a trial before its last fold: after {self.folds - 1} of "
                f"{self.folds} folds the smallest possible p is {smallest:g}; {one}folds of at least "
                f"{self.first + 1}, here and in trialCommand"
            )

    @property
    def first(self) -> int:
        """The number of folds after which a trial may be dropped for the first time."""
        return math.floor(-math.log2(self.p)) + 1

    def reason(
        self, curve: Sequence[float], finished: Sequence[Sequence[float]], finals: Sequence[float]
    ) -> str:
        """Why a trial is dropped that reported the means `curve`, one after each fold; '' if it goes on.

        `finished`: those of trials that ran to their ends; `finals`: their final scores.
        """
        done = len(curve)
        rivals = [
            (final, other) for other, final in zip(finished, finals, strict=True) if len(other) == self.folds
        ]
        if not self.first <= done < self.folds or not rivals:
            return ""
        best, theirs = max(rivals, key=lambda rival: rival[0])
        differences = (fold_scores(curve) - fold_scores(theirs)[:done]).round(DIGITS)
        if differences.mean() >= 0:
            return ""
        found = float(wilcoxon(differences, zero_method="zsplit", alternative="less").pvalue)
        if found >= self.p:
            return ""
        return (
            f"{CAN_NOT_WIN} after fold {done} of {self.folds}: {-differences.mean():.4f} below the same "
            f"folds of the best finished trial ({best:.4f}), p={found:.3f}"
        )


def fold_scores(means: Sequence[float]) -> np.ndarray:
    """The score of each fold, where `means[k]` is the mean over the first k + 1 folds."""
    return np.diff(np.asarray(means) * np.arange(1, len(means) + 1), prepend=0.0)


class WorseOnFolds(Assessor):
    """Drops a trial after the folds that show that it can't win, by the test of `FoldTest`, whose arguments
    it takes: `folds`, the number of folds of every trial, and `p`.

    It works with the tuner Search, whose study has the finished trials. A trial whose config.json does not
    say fold=all, fold_order=one_by_one and this number of folds reports something else and is never dropped.
    """

    def __init__(self, folds: int = 5, p: float = 0.1):
        self._search = Search.beside(self)
        self._test = FoldTest(folds, p)
        self._folder = experiment_folder()
        self._reports_folds: dict[str, bool] = {}

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        curve = curve_of(trial_history)
        stop = (
            curve
            and self._are_folds(trial_job_id)
            and self._search.reason_to_stop(trial_job_id, curve, self._test)
        )
        return AssessResult.Bad if stop else AssessResult.Good

    def trial_end(self, trial_job_id: str, success: bool) -> None:
        self._reports_folds.pop(trial_job_id, None)

    def _are_folds(self, trial: str) -> bool:
        """Whether the trial reports the folds that the test expects; a replay has no folder to ask."""
        if self._folder is None:
            return True
        if trial not in self._reports_folds:
            wrong = _not_folds(self._folder / "trials" / trial / "config.json", self._test.folds)
            if wrong:
                _logger.warning("%s is not assessed: %s", trial, wrong)
            self._reports_folds[trial] = not wrong
        return self._reports_folds[trial]


def _not_folds(path: Path, folds: int) -> str:
    """What is not as `WorseOnFolds` needs it in the config.json of a trial; '' if nothing."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"{path} can't be read ({error})"
    if not isinstance(config, Mapping):
        return f"{path} is not a recipe"
    wanted = {**REPORTS_FOLDS, "folds": folds}
    wrong = [
        f"{name}={config.get(name)}, not {value}"
        for name, value in wanted.items()
        if config.get(name) != value
    ]
    return f"its config.json has {'; '.join(wrong)}" if wrong else ""
