"""Searches kept to the recorded recipes: they look for the best among these, or in the whole space, and have
each suggestion moved to the nearest recorded recipe. Either way they learn results at the recipe played."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nni import NoMoreTrialError
from nni.common.hpo_utils import format_parameters
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from benchmarks.search.earlier import DefaultFirstTPE
from benchmarks.search.simulate import Lookup
from benchmarks.search.table import Point
from tuners.model.sampler import GaussianProcessSampler
from tuners.search import Search
from tuners.spaces.space import Space, recipe_key


class RecordedSpace(Space):
    """A space whose random recipes and neighbours are the recorded ones."""

    def __init__(self, nni_space: dict[str, Any], params: list[dict[str, Any]]):
        super().__init__(nni_space)
        self._params = params
        self._recorded = np.array([self.positions(one) for one in params])
        self._keys = set(map(recipe_key, params))

    def holds(self, params: Mapping[str, Any]) -> bool:
        return recipe_key(params) in self._keys

    def at(self, positions: np.ndarray) -> dict[str, Any]:
        """The recorded values themselves: from its position a number would come back rounded otherwise, and
        as if it were another recipe."""
        same = np.isclose(self._recorded, positions, rtol=0, atol=1e-12, equal_nan=True).all(1)
        return dict(self._params[int(same.argmax())])

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return self._recorded[rng.permutation(len(self._recorded))[:count]]

    def around(self, rng: np.random.Generator, positions: np.ndarray, scale: float) -> np.ndarray:
        return self._recorded


class RecordedSearch(Search):
    """What NNI loads, kept to the recorded recipes."""

    def candidates(self, points: Sequence[Point]) -> None:
        params = [self.space.params(point) for point in points]
        assert isinstance(self.study.sampler, GaussianProcessSampler)
        self.study.sampler.space = RecordedSpace(self._nni_space, params)
        self._learn_earlier()  # again: which of those recipes lie outside?
        self.planner.size = len(params)


class NearestSearch(Search):
    """What NNI loads, each suggestion moved to the nearest recorded recipe that no trial has had yet."""

    def candidates(self, points: Sequence[Point]) -> None:
        params = [self.space.params(point) for point in points]
        queued = [trial.system_attrs["fixed_params"] for trial in self.trials.queued()]
        self.study.sampler = Nearest(self.study.sampler, self.space, params, queued)
        self.planner.size = len(params)


class Nearest(GaussianProcessSampler):
    """Our sampler, which weighs a new recipe against the paused ones by what it suggests itself."""

    def __init__(self, own: Any, space: Space, params: list[dict[str, Any]], queued: list[dict[str, Any]]):
        assert isinstance(own, GaussianProcessSampler)
        super().__init__(space, own.seed)
        self.pauses = own.pauses
        self._lookup = Lookup(space, params)
        self._lookup.free[:] = [one not in queued for one in params]

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        recipe = self._lookup.nearest(super().sample_relative(study, trial, search_space))
        assert recipe is not None  # the search ends when all were tried
        self._lookup.free[recipe] = False
        return dict(self._lookup.params[recipe])


class NearestTPE(DefaultFirstTPE):
    """NNI's TPE, each suggestion moved to the nearest recorded recipe that no trial has had yet."""

    def candidates(self, points: Sequence[Point]) -> None:
        self._points, space = points, Space(self._raw_space)
        self._lookup = Lookup(space, [space.params(point) for point in points])

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> Point:
        suggested = super().generate_parameters(parameter_id, **kwargs)
        if not hasattr(self, "_lookup"):
            return suggested
        recipe = self._lookup.nearest(self._lookup.space.params(suggested))
        if recipe is None:
            raise NoMoreTrialError("every recipe has had its trial")
        self._lookup.free[recipe] = False
        played = format_parameters(self._points[recipe], self.space)
        self._params[parameter_id] = self._running_params[parameter_id] = played
        return self._points[recipe]


class Recorded(BaseSampler):
    """Another sampler's suggestions, each moved to the nearest recorded recipe that no trial has had yet.
    Those `queued` in the study are never suggested: Optuna asks no sampler for them."""

    def __init__(
        self, sampler: BaseSampler, space: Space, params: list[dict[str, Any]], queued: list[dict[str, Any]]
    ):
        self._sampler, self._space = sampler, space
        self._lookup = Lookup(space, params)
        self._lookup.free[:] = [one not in queued for one in params]

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return dict(self._space.distributions)

    def sample_relative(self, study: Any, trial: Any, search_space: dict[str, Any]) -> dict[str, Any]:
        theirs = self._sampler.infer_relative_search_space(study, trial)
        relative = self._sampler.sample_relative(study, trial, theirs)
        asked = _Suggested(self._sampler, study, trial, relative)
        recipe = self._lookup.nearest(self._space.params(self._space.ask(asked)))  # type: ignore[arg-type]
        if recipe is None:
            return {}
        self._lookup.free[recipe] = False
        return dict(self._lookup.params[recipe])

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self._sampler.sample_independent(study, trial, name, distribution)

    def before_trial(self, study: Any, trial: Any) -> None:
        self._sampler.before_trial(study, trial)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        self._sampler.after_trial(study, trial, state, values)


class _Suggested:
    """What a trial would suggest, without telling the study."""

    def __init__(self, sampler: BaseSampler, study: Any, trial: Any, relative: dict[str, Any]):
        self._sampler, self._study, self._trial, self._relative = sampler, study, trial, relative

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._value(name, CategoricalDistribution(choices))

    def suggest_int(self, name: str, low: int, high: int) -> Any:
        return self._value(name, IntDistribution(low, high))

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> Any:
        return self._value(name, FloatDistribution(low, high, **options))

    def _value(self, name: str, distribution: Any) -> Any:
        if name in self._relative:
            return self._relative[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)
