"""One parameter of a flat search space: its values, their positions from 0 to 1, and how NNI writes it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.special import ndtr, ndtri

from tuners.errors import did_you_mean, is_number
from tuners.spaces.nested import is_nested, parameters_of

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
Params = dict[str, Any]

TAIL = 3.0  # a normal range is cut this many standard deviations from its mean: Optuna's ranges have two ends
MAX_GRID = 10_000  # values of a range with a step that can only be held as a list


@dataclass(frozen=True)
class Parameter:
    """One parameter of the flat space.

    `condition`: the name of the choice and its option that make the parameter active, None if it always is.
    `options`: NNI's options of a choice, in the order of the distribution's; () of a range. `numbers`: the
    number of each value of a categorical distribution if the values have an order, else (): options that are
    all numbers or image sizes like 48x36, no two alike, or a range with a step that Optuna has no
    distribution for. `normal`: whether the range is drawn from a normal distribution, not evenly; `chances`:
    how probable each of `numbers` is, () if all alike.
    """

    name: str
    distribution: Distribution
    condition: tuple[str, Any] | None = None
    options: tuple[Any, ...] = ()
    numbers: tuple[float, ...] = ()
    normal: bool = False
    chances: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        low, high = (min(self.numbers), max(self.numbers)) if self.numbers else self._ends()
        log = low > 0 if self.numbers else getattr(self.distribution, "log", False)
        scale = math.log if log else float
        span = (scale(high) - scale(low)) or 1.0
        positions = np.array([(scale(number) - scale(low)) / span for number in self.numbers])
        object.__setattr__(self, "_scaled", (scale(low), span, log))
        object.__setattr__(
            self, "_positions", positions if self.numbers else np.arange(float(len(self.options)))
        )

    _scaled = (0.0, 1.0, False)
    _positions = np.zeros(0)

    @property
    def is_category(self) -> bool:
        """Whether the values have no order."""
        return bool(self.options) and not self.numbers

    @property
    def is_continuous(self) -> bool:
        return not isinstance(self.distribution, CategoricalDistribution) and not self._step

    def values(self) -> list[Any]:
        """Every value, in order, of a parameter that is not continuous."""
        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        low, high, step = self.distribution.low, self.distribution.high, self.distribution.step
        assert step
        count = round((high - low) / step) + 1
        return [self.value(index / max(1, count - 1)) for index in range(count)]

    def position(self, value: Any) -> float:
        """The index of an unordered option; else where the value lies, from 0 to 1, by its logarithm if the
        range is logarithmic or all options are above 0."""
        if len(self._positions):
            return float(self._positions[int(self.distribution.to_internal_repr(value))])
        low, span, log = self._scaled
        return ((math.log(value) if log else value) - low) / span

    def place(self, value: Any) -> float:
        """As `position`; of a value outside the space -1, which no option has, or where a number would lie on
        the longer range. ValueError if it would lie nowhere."""
        fitted, message = self.fitting(value)
        if not message:
            return self.position(fitted)
        if self.is_category:
            return -1.0
        low, span, log = self._scaled
        number = _number(value)
        if number is None or (log and number <= 0):
            raise ValueError(message)
        return ((math.log(number) if log else number) - low) / span

    def value(self, position: float) -> Any:
        """The value nearest to a position."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[int(np.abs(self._positions - position).argmin())]
        value = float(self._values(np.array([position]))[0])
        return int(value) if isinstance(self.distribution, IntDistribution) else value

    def nearest(self, positions: np.ndarray) -> np.ndarray:
        """The positions (n,), moved to those of values that the parameter can have."""
        if len(self._positions):
            return self._positions[np.abs(positions[:, None] - self._positions).argmin(1)]
        if not self._step:
            return positions
        low, span, log = self._scaled
        values = self._values(positions)
        return ((np.log(values) if log else values) - low) / span

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Positions (count,) of random values: options alike, ranges evenly or normally, by position."""
        if self.options:
            return self._positions[rng.integers(len(self.options), size=count)]
        if self.chances:
            return rng.choice(self._positions, size=count, p=self.chances)
        even = rng.random(count)
        if isinstance(self.distribution, IntDistribution):
            count = self.distribution.high - self.distribution.low + 1
            return np.floor(even * count) / max(1, count - 1)
        if self.normal:
            tail = 0.5 * math.erfc(TAIL / math.sqrt(2))
            even = 0.5 + ndtri(tail + even * (1 - 2 * tail)) / (2 * TAIL)
        return self.nearest(even)

    def suggest(self, trial: optuna.Trial) -> Any:
        """The value that the study's sampler suggests."""
        name, distribution = self.name, self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(name, distribution.low, distribution.high)
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )

    def fitting(self, value: Any) -> tuple[Any, str]:
        """The value as the study holds it, and '' or why it does not fit."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            label = _label(value)
            for choice in distribution.choices:
                if _is_same(choice, label):
                    return choice, ""
            return None, f"{label!r} is not an option{did_you_mean(label, distribution.choices)}"
        if not is_number(value):
            return None, f"{value!r} is not a number"
        low, high, step = distribution.low, distribution.high, distribution.step
        if not low <= value <= high:
            return None, f"{value:g} is not from {low:g} to {high:g}"
        if step and not math.isclose(steps := (value - low) / step, round(steps), abs_tol=1e-6):
            return None, f"{value:g} is not on the step of {step:g} from {low:g}"
        return self.value(self.position(value)) if step else float(value), ""

    @property
    def _step(self) -> float | None:
        return None if isinstance(self.distribution, CategoricalDistribution) else self.distribution.step

    def _ends(self) -> tuple[float, float]:
        if isinstance(self.distribution, CategoricalDistribution):
            return 0.0, 1.0
        return self.distribution.low, self.distribution.high

    def _values(self, positions: np.ndarray) -> np.ndarray:
        """Values (n,) of a range at positions (n,), on its step and between its ends."""
        low, span, log = self._scaled
        values = low + positions * span
        if log:
            values = np.exp(values)
        first, last = self._ends()
        if self._step:
            values = first + np.round((values - first) / self._step) * self._step
            values = np.array([_tidy(value) for value in values])  # the same bits as a value that was tried
        return np.clip(values, first, last)


def flat_parameters(
    space: Mapping[str, Any], prefix: str = "", condition: tuple[str, Any] | None = None
) -> Iterator[Parameter]:
    """The parameters of NNI's space, a choice before those of its options; ValueError if NNI could not draw
    from one."""
    for key, spec in parameters_of(space).items():
        name = f"{prefix}{key}"
        try:
            parameter = _parameter(name, spec["_type"], spec["_value"], condition)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"{name}: {error}") from None
        yield parameter
        for option in parameter.options:
            if is_nested(option):
                yield from flat_parameters(option, f"{name}.{option['_name']}.", (name, option["_name"]))


def _parameter(name: str, kind: str, values: Sequence[Any], condition: tuple[str, Any] | None) -> Parameter:
    if kind == "choice":
        return _choice(name, values, condition)
    normal, log = "normal" in kind, "log" in kind
    if kind == "randint":
        first, last = math.ceil(values[0]), math.ceil(values[1]) - 1
        return Parameter(name, IntDistribution(first, last), condition)
    if kind not in ("uniform", "loguniform", "normal", "lognormal") and kind[:1] != "q":
        raise ValueError(f"unknown _type {kind!r}")
    low, high = (values[0] - TAIL * values[1], values[0] + TAIL * values[1]) if normal else values[:2]
    if log and normal:
        low, high = math.exp(low), math.exp(high)
    if not kind.startswith("q"):
        return Parameter(name, FloatDistribution(low, high, log=log), condition, normal=normal)
    step = values[2]
    indices = range(round(low / step), round(high / step) + 1)
    if len(indices) > MAX_GRID:
        raise ValueError(f"{len(indices)} steps are too many; leave the step out ({kind[1:]})")
    grid = [_tidy(index * step) for index in indices]
    if not normal:  # as NNI does: rounded to multiples of the step, then clipped
        grid = sorted({min(max(value, low), high) for value in grid})
    if not log and _is_even(grid, step):
        return Parameter(name, FloatDistribution(grid[0], grid[-1], step=step), condition, normal=normal)
    floats = tuple(map(float, grid))
    chances = _lognormal_chances(floats, *values) if normal else ()
    return Parameter(name, CategoricalDistribution(floats), condition, (), floats, chances=chances)


def _lognormal_chances(
    grid: Sequence[float], mean: float, deviation: float, step: float
) -> tuple[float, ...]:
    """The probabilities of a lognormal distribution's values, rounded to the grid."""
    ends = np.maximum([*(number - step / 2 for number in grid), grid[-1] + step / 2], 0)
    with np.errstate(divide="ignore"):
        chances = np.diff(ndtr((np.log(ends) - mean) / deviation))
    return tuple(chances / chances.sum())


def _tidy(value: float) -> float:
    """0.3 for 0.30000000000000004, which three steps of 0.1 are."""
    return float(f"{value:.12g}")


def _is_even(grid: Sequence[float], step: float) -> bool:
    return all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in pairwise(grid))


def _choice(name: str, options: Sequence[Any], condition: tuple[str, Any] | None) -> Parameter:
    if not options:
        raise ValueError("the choice is empty")
    nested = [is_nested(option) for option in options]
    if any(nested) and not all(nested):
        bare = options[nested.index(False)]
        raise ValueError(f"if one option has a _name, all need one: {bare!r}")
    labels = [_label(option) for option in options]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise ValueError(f"two options are {twice[0]!r}")
    numbers = [_number(option) for option in options]
    ordered = tuple(float(number) for number in numbers if number is not None)
    if len(set(ordered)) < len(options):  # 128x96 and 96x128 are alike in number only
        ordered = ()
    return Parameter(name, CategoricalDistribution(labels), condition, tuple(options), ordered)


def _label(option: Any) -> Any:
    """An option as a study can hold it: a list of steps is its text."""
    if is_nested(option):
        return option["_name"]
    if option is None or isinstance(option, bool | int | float | str):
        return option
    return json.dumps(option, sort_keys=True)


def _number(option: Any) -> float | None:
    """The number that orders an option among others: its own, or the area of an image size like 48x36."""
    if is_number(option):
        return option
    if isinstance(option, str):
        height, _, width = option.partition("x")
        if height.isdecimal() and width.isdecimal():
            return int(height) * int(width)
    return None


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other
