"""Samplers of a study by name: which recipe to try next.

The default, `gaussian_process`, is our own; the others are Optuna's, set up for spaces with nested choices.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from tuners.errors import unknown
from tuners.model.sampler import CHOSEN, GaussianProcessSampler
from tuners.spaces.space import Space, recipe_key


class RandomSampler(BaseSampler):
    """Recipes at random. Optuna's own draws evenly from a range that is normally distributed."""

    def __init__(self, space: Space, seed: int):
        self.space, self.seed = space, seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.space.at(self.space.draw(np.random.default_rng([self.seed, trial.number]), 1)[0])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """What an enqueued recipe left open."""
        return self.space.draw_one(param_name, self.seed, trial.number)


class GridSampler(BaseSampler):
    """Every recipe of a space without continuous ranges once, in the order of the options, the last
    parameter's fastest.

    Optuna's own walks the product of all parameters, active or not, which repeats recipes of nested choices.
    """

    def __init__(self, space: Space):
        self.space = space
        next(space.grid())  # refuses a continuous range at once

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        seen = {recipe_key(trial.params) for trial in study.get_trials(deepcopy=False)}
        new = (params for params in self.space.grid() if recipe_key(params) not in seen)
        return next(new, None) or next(self.space.grid())

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(f"{param_name} is not in an enqueued recipe, which must be a whole one for a grid")


def _tpe(space: Space, seed: int) -> BaseSampler:
    _refuse_normal("tpe", space)
    # Without `group`, parameters of nested choices are drawn independently of each other.
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _cma_es(space: Space, seed: int) -> BaseSampler:
    choices = [
        one.name
        for one in space.parameters
        if isinstance(one.distribution, CategoricalDistribution) and not one.distribution.single()
    ]
    nested = [one.name for one in space.parameters if one.condition and one.name not in choices]
    _refuse_normal("cma_es", space)
    _refuse("cma_es", "choices, of numbers too, and parameters of nested ones", [*nested, *choices])
    return optuna.samplers.CmaEsSampler(seed=seed)


def _optuna_gp(space: Space, seed: int) -> BaseSampler:
    nested = [one.name for one in space.parameters if one.condition]
    _refuse_normal("optuna_gp", space)
    _refuse("optuna_gp", "parameters of nested choices", nested)
    return optuna.samplers.GPSampler(seed=seed)


def _refuse_normal(name: str, space: Space) -> None:
    if normal := [one.name for one in space.parameters if one.normal or one.chances]:
        raise ValueError(
            f"sampler {name}: it takes a normal range for a uniform one, and this space has "
            f"{', '.join(normal)}; use gaussian_process or random, or another type of range"
        )


def _refuse(name: str, what: str, found: list[str]) -> None:
    if found:
        raise ValueError(
            f"sampler {name}: it draws {what} at random, for ever, and this space has "
            f"{', '.join(found[:3])}{', ...' if found[3:] else ''}; use gaussian_process or tpe"
        )


SAMPLERS: Mapping[str, Callable[[Space, int], BaseSampler]] = {
    "gaussian_process": GaussianProcessSampler,
    "tpe": _tpe,
    "random": RandomSampler,
    "grid": lambda space, seed: GridSampler(space),
    "cma_es": _cma_es,
    "optuna_gp": _optuna_gp,
}
# How many trials Optuna's samplers draw at random first, and which count.
_RANDOM_STARTS = {
    "tpe": (10, (TrialState.COMPLETE, TrialState.PRUNED)),
    "optuna_gp": (10, (TrialState.COMPLETE,)),
    "cma_es": (1, (TrialState.COMPLETE,)),
}


def sampler(name: str, space: Space, seed: int = 0) -> BaseSampler:
    """The sampler of SAMPLERS by its name; ValueError if there is none, or it can't search this space."""
    if name not in SAMPLERS:
        raise ValueError(unknown("sampler", name, SAMPLERS))
    return SAMPLERS[name](space, seed)


def word(name: str, study: Study, trial: FrozenTrial) -> str:
    """What chose the newest trial of the study: random, grid, start-up or model."""
    if name == "gaussian_process":
        return "model" if trial.user_attrs.get(CHOSEN) == "model" else "start-up"
    if name not in _RANDOM_STARTS:
        return name
    count, states = _RANDOM_STARTS[name]
    return "start-up" if len(study.get_trials(deepcopy=False, states=states)) < count else "model"
