"""NNI's TPE tuner, but the search begins with the space's default."""

import logging
from typing import Any

from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.common.hpo_utils import deformat_parameters, format_parameters

from tuners.default_point import default_point

_logger = logging.getLogger("tuners.default_first")


class DefaultFirstTPE(TpeTuner):
    """Trial 0 measures the default recipe, so that every search says what its best gained; then TPE chooses.

    `seed` makes its choices the same again for the same results in the same order. `tpe_args`: see NNI's
    TpeTuner (`n_startup_jobs`, the number of random trials before the model is used, is 20 there: too many
    for a search of ten). `default`: {key: value}, in place of the first option or the middle of a range.
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

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        if self._begun:
            return super().generate_parameters(parameter_id, **kwargs)
        self._begun = True
        point = default_point(self._raw_space, self._default)
        # Beyond here a default is what the parent's own suggestion would be.
        params = self.dedup(format_parameters(point, self.space))
        self._params[parameter_id] = self._running_params[parameter_id] = params
        _logger.info("trial 0 measures the default %s", point)
        return deformat_parameters(params, self.space)

    def update_search_space(self, space: dict[str, Any]) -> None:
        super().update_search_space(space)
        self._raw_space = space

    def import_data(self, data: Any) -> None:
        """A resumed search has measured its default already."""
        self._begun = True
        super().import_data(data)
