"""How long a search will still take: measured seconds, and the cost of recipes that were not measured.

Those that end first are the cheapest, so the mean of the ended ones is too low. Here each trial that has
trained an epoch counts with its whole length, and a recipe that has not begun costs what its image size and
network let expect: log(seconds an epoch) is a ridge regression on log(pixels) and on the network.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product, repeat
from typing import Any

import numpy as np

from common.errors import errors_of
from trial.arguments import parse_arguments
from trial.config import TrialConfig, parse

FIELDS = ("model", "image_size", "epochs", "train_fraction", "fold", "folds")  # what the cost is told by
# Prior standard deviations of a network's factor, of the exponent of the pixels around 1, and of the noise,
# all in logarithms.
NETWORK, EXPONENT, NOISE = 1.0, 0.5, 0.2
STOPPED = 0.6  # the part of its epochs that a trial runs where there is an assessor, before any has ended
LATEST = 4  # trials that show how tuner and assessor behave by now
SPACE = 4  # ended trials with which the latest ones say as much of the next ones as the space does
FEW = 3  # ended trials below which an estimate is rough


@dataclass(frozen=True)
class Recipe:
    """`load`: what an epoch's seconds are proportional to besides pixels: the share of the people that are
    trained on, times the folds."""

    model: str
    pixels: int
    epochs: int
    load: float = 1.0


@dataclass(frozen=True)
class Trial:
    """`age`: seconds since it began, up to its end if it has ended; `seconds`: those of its `epochs_done`
    epochs."""

    recipe: Recipe
    ended: bool
    age: float
    seconds: float
    epochs_done: int


def recipe_of(config: TrialConfig) -> Recipe:
    height, width = config.image_size
    folds = config.folds if config.fold == "all" else 1
    return Recipe(config.model, height * width, config.epochs, config.train_fraction * folds)


def recipes_in(space: Mapping[str, Any], fixed: Iterable[str]) -> list[Recipe]:
    """The costs that a search space offers, each as probable as the others."""
    try:
        given = parse_arguments(fixed)
    except Exception:
        return []
    options = [_options(space, given, name) for name in FIELDS]
    found = []
    for values in product(*options):
        asked = {name: value for option in values for name, value in option.items()}
        if not errors_of(parse, asked, False):
            found.append(recipe_of(parse(asked, False)))
    return found


@dataclass(frozen=True)
class Forecast:
    """`recipes`: what the space offers; `at_a_time`: trialConcurrency; `limit`: maxExperimentDuration in
    seconds: after them NNI begins no trial, but lets those that run come to their end; `assessed`: whether
    an assessor stops trials."""

    recipes: Sequence[Recipe] = ()
    at_a_time: int = 1
    limit: float | None = None
    assessed: bool = False

    def seconds_left(self, trials: Sequence[Trial], left: int | None, elapsed: float) -> float | None:
        """Until the last trial's end. `left`: how many are to begin yet (None: no end but the limit's).
        None while no trial has trained an epoch."""
        if left is None and self.limit is None:
            return None
        known = [trial for trial in trials if trial.epochs_done]
        if not known:
            return None if self.limit is None else max(self.limit - elapsed, 0.0)
        cost = _Cost(known, self.assessed)
        # One in its first epoch for longer than expected is measured by that: it takes longer still.
        late = [t for t in trials if not (t.ended or t.epochs_done) and t.age > cost.first_epoch(t.recipe)]
        if late:
            cost = _Cost(
                [*known, *(replace(trial, seconds=trial.age, epochs_done=1) for trial in late)], self.assessed
            )
        ends = [max(cost.of(trial) - trial.age, 0.0) for trial in trials if not trial.ended]
        ends += [0.0] * (self.at_a_time - len(ends))
        heapq.heapify(ends)
        rest = math.inf if self.limit is None else self.limit - elapsed
        # A tuner comes to prefer some recipes: those of the trials that began count more and more.
        chosen = [trial.recipe for trial in trials[-LATEST:]]
        sure = sum(trial.ended for trial in trials) / (SPACE + sum(trial.ended for trial in trials))
        each = max((1 - sure) * cost.mean(self.recipes or chosen) + sure * cost.mean(chosen), 1.0)
        for _ in range(left) if left is not None else repeat(None):
            if ends[0] > rest:
                break
            heapq.heapreplace(ends, ends[0] + each)
        return max(ends)


def is_rough(trials: Iterable[Trial]) -> bool:
    return sum(trial.ended and trial.epochs_done > 0 for trial in trials) < FEW


@dataclass
class _Cost:
    """Seconds of trials, from those that have trained an epoch."""

    known: Sequence[Trial]
    assessed: bool
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = sorted({trial.recipe.model for trial in self.known})
        rows = np.array([self._features(trial.recipe) for trial in self.known])
        # Trials with more epochs behind them are measured better.
        weights = np.array([min(trial.epochs_done, 4) / 4 for trial in self.known]) / NOISE**2
        measured = np.log([max(t.seconds / t.epochs_done, 1e-3) / t.recipe.load for t in self.known])
        prior = np.array([1e-6, EXPONENT**-2, *[NETWORK**-2] * len(self.names)])
        middle = np.array([0.0, 1.0, *[0.0] * len(self.names)])  # of the prior
        precision = rows.T @ (weights[:, None] * rows) + np.diag(prior)
        self.solved = np.linalg.solve(precision, rows.T @ (weights * measured) + prior * middle)
        ended = [trial for trial in self.known if trial.ended]
        starts = [max(trial.age - trial.seconds, 0.0) for trial in ended]
        self.start = float(np.mean(starts)) if starts else 0.0
        # The part of its epochs that a trial runs: some are stopped, or stop by patience.
        parts = [trial.epochs_done / trial.recipe.epochs for trial in ended[-LATEST:]]
        usual = STOPPED if self.assessed else 1.0
        self.part = (2 * usual + sum(parts)) / (2 + len(parts))

    def of(self, trial: Trial) -> float:
        """The whole length of a trial that runs."""
        if not trial.epochs_done:
            return self._expected(trial.recipe)
        return self.start + trial.seconds / trial.epochs_done * trial.recipe.epochs

    def mean(self, recipes: Sequence[Recipe]) -> float:
        """Of trials that have not begun."""
        return sum(map(self._expected, recipes)) / len(recipes)

    def first_epoch(self, recipe: Recipe) -> float:
        """When the first epoch of a trial ends."""
        return self.start + self._epoch(recipe)

    def _expected(self, recipe: Recipe) -> float:
        return self.start + self._epoch(recipe) * recipe.epochs * self.part

    def _epoch(self, recipe: Recipe) -> float:
        return math.exp(float(np.dot(self._features(recipe), self.solved))) * recipe.load

    def _features(self, recipe: Recipe) -> list[float]:
        return [1.0, math.log(recipe.pixels), *(float(recipe.model == name) for name in self.names)]


def _options(space: Mapping[str, Any], given: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The values that the space, or else the command, gives a field, as {field: value}, with those of other
    FIELDS that an option brings along; [{}]: its default."""
    spec = space.get(name)
    if spec is None:
        return [{name: given[name]}] if name in given else [{}]
    values = spec["_value"]
    if spec["_type"] != "choice":
        middle = sum(values[:2]) / 2
        return [{name: middle if name == "train_fraction" else round(middle)}]
    found: list[dict[str, Any]] = []
    for value in values:
        if not isinstance(value, Mapping):
            found.append({name: value})
            continue
        brought = [_options(value, {}, field) for field in FIELDS if field in value]
        for inner in product(*brought):
            found.append({name: value.get("_name")} | {k: v for option in inner for k, v in option.items()})
    return found
