"""Assessor that stops a trial if its best score so far is below the median of the finished trials' at that
epoch."""

import logging
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from nni.assessor import Assessor, AssessResult

from tuners.stopping import hopeless

_logger = logging.getLogger("tuners.median_of_finished")


class MedianOfFinished(Assessor):
    """Applies `stopping.hopeless` to every intermediate result, with the trials that ran to their end as
    peers.

    `start_epoch`: the first epoch (from 1) at which a trial may be stopped. `min_finished`: the number of
    trials that must have finished before any is stopped. `margin`: how far below the median a trial may be.
    `epochs`: the length of all trials; None: that of the longest finished trial.
    """

    def __init__(
        self, start_epoch: int = 2, min_finished: int = 3, margin: float = 0.0, epochs: int | None = None
    ):
        self.rule: dict[str, Any] = {
            "start_epoch": start_epoch,
            "min_finished": min_finished,
            "margin": margin,
            "epochs": epochs,
        }
        self.running: dict[str, list[float]] = {}
        self.finished: list[list[float]] = []

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        curve = self.running[trial_job_id] = [score(value) for value in trial_history]
        if not hopeless(curve, self.finished, **self.rule):
            return AssessResult.Good
        peers = median(max(other[: len(curve)]) for other in self.finished)
        _logger.info(
            "stop %s at epoch %d: best %.4f, median %.4f", trial_job_id, len(curve), max(curve), peers
        )
        return AssessResult.Bad

    def trial_end(self, trial_job_id: str, success: bool) -> None:
        curve = self.running.pop(trial_job_id, None)
        if success and curve:
            self.finished.append(curve)


def score(value: Any) -> float:
    """The score in an intermediate result: a number, or {'default': number, ...}."""
    return float(value["default"] if isinstance(value, Mapping) else value)
