"""NNI's TPE tuner, with the default of the search space as its first suggestion."""

import logging
import math
import threading
from typing import Any

from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.common.hpo_utils import deformat_parameters, format_parameters
from nni.utils import extract_scalar_reward

from tuners.default_point import default_point

_logger = logging.getLogger("tuners.default_first")


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
