"""The tuner and the assessor that every shipped experiment had before `tuners.search`, kept as a rival."""

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.assessor import Assessor, AssessResult
from nni.common.hpo_utils import deformat_parameters, format_parameters
from nni.utils import extract_scalar_reward

from tuners.spaces.default_point import default_point

_logger = logging.getLogger("benchmarks.search.earlier")


class DefaultFirstTPE(TpeTuner):
    """TPE that suggests the default recipe for trial 0, so that a search shows what its best recipe gains.

    `seed`: the same seed gives the same suggestions for the same results in the same order. `tpe_args`: see
    NNI's TpeTuner; its `n_startup_jobs`, the number of random trials before the model is used, is 20 by
    default, too many for a search of ten. `default`: {key: value}, replaces the first option or the middle of
    a range.

    NNI's dispatcher reports the end of a trial and its final result from two threads, in either order, and an
    exception here ends the experiment. So a lock guards the methods, and a result that comes late, twice or
    without a finite score does not raise.
    """

    def __init__(
        self,
        optimize_mode: str = "maximize",
        seed: int = 0,
        tpe_args: dict[str, Any] | None = None,
        default: dict[str, Any] | None = None,
    ):
        super().__init__(optimize_mode, seed, tpe_args)
        self._default = default
        self._begun = False
        self._finished: set[int] = set()
        self._lock = threading.RLock()

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        with self._lock:
            if self._begun:
                return super().generate_parameters(parameter_id, **kwargs)
            self._begun = True
            point = default_point(self._raw_space, self._default)
            # From here on the default is treated as the parent's own suggestion.
            params = self.dedup(format_parameters(point, self.space))
            self._params[parameter_id] = self._running_params[parameter_id] = params
            _logger.info("trial 0 measures the default %s", point)
            return deformat_parameters(params, self.space)

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        with self._lock:
            if parameter_id in self._finished:
                _logger.warning("a second final result of parameters %s is ignored", parameter_id)
            elif parameter_id not in self._params:
                _logger.warning(
                    "a final result of parameters %s, which this tuner did not suggest", parameter_id
                )
            elif not _is_score(value):
                _logger.warning("the final result %r of parameters %s is not a score", value, parameter_id)
            else:
                self._finished.add(parameter_id)
                if parameter_id not in self._running_params:  # the trial's end came first
                    self._running_params[parameter_id] = self._params[parameter_id]
                super().receive_trial_result(parameter_id, parameters, value, **kwargs)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        with self._lock:
            super().trial_end(parameter_id, success, **kwargs)

    def update_search_space(self, space: dict[str, Any]) -> None:
        with self._lock:
            super().update_search_space(space)
            self._raw_space = space

    def import_data(self, data: Any) -> None:
        """Import earlier results: a resumed search has measured its default already."""
        with self._lock:
            self._begun = True
            super().import_data(data)


def _is_score(value: Any) -> bool:
    try:
        return math.isfinite(extract_scalar_reward(value))
    except (RuntimeError, TypeError):
        return False


class MedianOfFinished(Assessor):
    """Applies `hopeless` to every intermediate result, with the trials that ran to their end as
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


def hopeless(
    curve: Sequence[float],
    finished: Sequence[Sequence[float]],
    start_epoch: int = 2,
    min_finished: int = 3,
    margin: float = 0.0,
    epochs: int | None = None,
) -> bool:
    """Whether to stop a trial with the scores `curve` (one for each epoch so far, higher is better).

    True if its best score is more than `margin` below the median, over the trials in `finished` (curves of
    any length, of trials that ran to their end), of their best score up to the same epoch. Never before
    `start_epoch`, with fewer than `min_finished` finished trials, or at the last epoch (`epochs`, or else
    that of the longest finished trial), where nothing is left to save.
    """
    epoch = len(curve)
    finished = [other for other in finished if other]
    if epoch < max(start_epoch, 1) or len(finished) < max(min_finished, 1):
        return False
    if epoch >= (epochs or max(len(other) for other in finished)):
        return False
    return max(curve) < median(max(other[:epoch]) for other in finished) - margin
