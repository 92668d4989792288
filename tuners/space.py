"""An NNI search space as flat parameters: names, Optuna distributions, conditions, and positions in an array.

A nested choice, `loss: {"_name": "focal", "gamma": uniform}`, is two parameters: `loss`, with "focal" among
its options, and `loss.focal.gamma`, on the condition that `loss` is "focal". Values of the active parameters
are *params* ({name: value}, as an Optuna study holds them); NNI's nested form of the same is a *point*.
"""

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.special import ndtri

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
    all numbers or image sizes like 48x36, or a range with a step that Optuna has no distribution for.
    `normal`: whether the range is drawn from a normal distribution, not evenly.
    """

    name: str
    distribution: Distribution
    condition: tuple[str, Any] | None = None
    options: tuple[Any, ...] = ()
    numbers: tuple[float, ...] = ()
    normal: bool = False

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

    def value(self, position: float) -> Any:
        """The value nearest to a position."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.distribution.choices[int(np.abs(self._positions - position).argmin())]
        value = float(self._values(np.array(position)))
        if isinstance(self.distribution, IntDistribution):
            return int(value)
        return _tidy(value) if self._step else value

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
        even = rng.random(count)
        if isinstance(self.distribution, IntDistribution):
            count = self.distribution.high - self.distribution.low + 1
            return np.floor(even * count) / max(1, count - 1)
        if self.normal:
            tail = 0.5 * math.erfc(TAIL / math.sqrt(2))
            even = 0.5 + ndtri(tail + even * (1 - 2 * tail)) / (2 * TAIL)
        return self.nearest(even)

    @property
    def _step(self) -> float | None:
        return None if isinstance(self.distribution, CategoricalDistribution) else self.distribution.step

    def _ends(self) -> tuple[float, float]:
        if isinstance(self.distribution, CategoricalDistribution):
            return 0.0, 1.0
        return self.distribution.low, self.distribution.high

    def _values(self, positions: np.ndarray) -> np.ndarray:
        """Values of a range at positions, on its step and between its ends."""
        low, span, log = self._scaled
        values = low + positions * span
        if log:
            values = np.exp(values)
        first, last = self._ends()
        if self._step:
            values = first + np.round((values - first) / self._step) * self._step
        return np.clip(values, first, last)


class Space:
    """The parameters of an NNI search space, a choice before the parameters of its options.

    An array of *positions* (recipes, parameters) holds recipes for models: see `Parameter.position`; NaN
    where a parameter is not active. ValueError if the space is not one that NNI could draw from.
    """

    def __init__(self, nni_space: Mapping[str, Any]):
        self.parameters: tuple[Parameter, ...] = tuple(_parameters(nni_space, "", None))
        self._by_name = {parameter.name: parameter for parameter in self.parameters}
        if not self.parameters:
            raise ValueError("the search space is empty")
        if len(self._by_name) < len(self.parameters):
            names = [parameter.name for parameter in self.parameters]
            raise ValueError(f"{next(n for n in names if names.count(n) > 1)}: two parameters have this name")
        order = list(self._by_name)
        self._conditions = [
            (column, order.index(parent.name), parent.position(option))
            for column, parameter in enumerate(self.parameters)
            if parameter.condition
            for parent, option in [(self._by_name[parameter.condition[0]], parameter.condition[1])]
        ]
        self.categories = np.array([parameter.is_category for parameter in self.parameters])

    @property
    def distributions(self) -> dict[str, Distribution]:
        return {parameter.name: parameter.distribution for parameter in self.parameters}

    @property
    def is_nested(self) -> bool:
        """Whether some parameter is active for some recipes only."""
        return bool(self._conditions)

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether these are the params of a whole recipe of this space."""
        active = {parameter.name: parameter for parameter in self._active(params)}
        return active.keys() == params.keys() and not any(
            _fitting(active[k], v)[1] for k, v in params.items()
        )

    def grid(self) -> Iterator[Params]:
        """All recipes, the last parameter's values fastest; ValueError if a range is continuous."""

        def walk(column: int, params: Params) -> Iterator[Params]:
            if column == len(self.parameters):
                yield dict(params)
                return
            parameter = self.parameters[column]
            if parameter.condition and params.get(parameter.condition[0], math.nan) != parameter.condition[1]:
                yield from walk(column + 1, params)
                return
            for value in parameter.values():
                yield from walk(column + 1, {**params, parameter.name: value})

        endless = [parameter.name for parameter in self.parameters if parameter.is_continuous]
        if endless:
            raise ValueError(
                f"{', '.join(endless)}: a continuous range has no grid; give it a step or options"
            )
        return walk(0, {})

    # Between NNI's point and params

    def params(self, point: Mapping[str, Any]) -> Params:
        """The params of NNI's nested point; ValueError names everything that does not fit the space."""
        params: Params = {}
        errors: list[str] = []
        left = _flat(point, self._by_name)
        for parameter in self._active(params):
            if parameter.name not in left:
                errors.append(f"{parameter.name} is missing")
                continue
            value, message = _fitting(parameter, left.pop(parameter.name))
            if message:
                errors.append(f"{parameter.name}: {message}")
            else:
                params[parameter.name] = value
        wrong = [
            name for name in left if not any(name.startswith(f"{error.split(':')[0]}.") for error in errors)
        ]
        errors += [f"{name} is not in the search space{_near(name, self._by_name)}" for name in wrong]
        if errors:
            raise ValueError("; ".join(errors))
        return params

    def point(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """NNI's nested point of the params of all active parameters."""
        point: dict[str, Any] = {}
        inside: dict[tuple[str, Any], dict[str, Any]] = {}
        for parameter in self._active(params):
            value = params[parameter.name]
            into = inside[parameter.condition] if parameter.condition else point
            prefix = f"{parameter.condition[0]}.{parameter.condition[1]}." if parameter.condition else ""
            key = parameter.name[len(prefix) :]
            if parameter.options:
                option = parameter.options[int(parameter.distribution.to_internal_repr(value))]
                if _is_nested(option):
                    option = inside[parameter.name, value] = {"_name": option["_name"]}
                value = option
            into[key] = value
        return point

    def ask(self, trial: optuna.Trial) -> dict[str, Any]:
        """NNI's point that the study's sampler suggests: one `suggest_*` for each active parameter, in
        order."""
        params: Params = {}
        for parameter in self._active(params):
            params[parameter.name] = _suggested(trial, parameter)
        return self.point(params)

    def _active(self, params: Mapping[str, Any]) -> Iterator[Parameter]:
        """The active parameters; `params` may be filled while they are walked."""
        for parameter in self.parameters:
            if parameter.condition:
                parent, option = parameter.condition
                if parent not in params or params[parent] != option:
                    continue
            yield parameter

    # Between params and positions

    def positions(self, params: Mapping[str, Any]) -> np.ndarray:
        """The positions (parameters,) of one recipe."""
        found = [
            parameter.position(params[parameter.name]) if parameter.name in params else math.nan
            for parameter in self.parameters
        ]
        return np.array(found)

    def at(self, positions: np.ndarray) -> Params:
        """The params at the positions (parameters,) of one recipe."""
        pairs = zip(self.parameters, positions.tolist(), strict=True)
        return {
            parameter.name: parameter.value(position) for parameter, position in pairs if position == position
        }

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Positions (count, parameters) of random recipes."""
        return self.conditioned(self._draw_all(rng, count))

    def random(self, rng: np.random.Generator) -> Params:
        """The params of a random recipe."""
        return self.at(self.draw(rng, 1)[0])

    def around(self, rng: np.random.Generator, positions: np.ndarray, scale: float) -> np.ndarray:
        """Random neighbours of recipes, an array of the same shape (n, parameters).

        Each parameter changes with a chance that makes one to three changes usual, at least one in each
        recipe: a range by a normal step of standard deviation `scale` of its length, a choice to a random
        option. What becomes active is drawn at random.
        """
        drawn = self._draw_all(rng, len(positions))
        active = ~np.isnan(positions)
        moved = np.where(active, positions, 0) + scale * rng.standard_normal(positions.shape)
        moved = 1 - np.abs(1 - np.abs(moved) % 2)  # reflected at both ends
        chances = np.where(active, rng.random(positions.shape), 2.0)
        changes = (chances < 2 / active.sum(1, keepdims=True)) | (chances == chances.min(1, keepdims=True))
        found = np.where(active, positions, drawn)
        for column, parameter in enumerate(self.parameters):
            new = drawn[:, column] if parameter.options else parameter.nearest(moved[:, column])
            found[:, column] = np.where(changes[:, column], new, found[:, column])
        return self.conditioned(found)

    def conditioned(self, positions: np.ndarray) -> np.ndarray:
        """The positions with NaN for the parameters that are not active."""
        positions = positions.copy()
        for column, parent, option in self._conditions:
            positions[positions[:, parent] != option, column] = np.nan
        return positions

    def _draw_all(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return np.stack([parameter.draw(rng, count) for parameter in self.parameters], axis=1)


def _parameters(
    space: Mapping[str, Any], prefix: str, condition: tuple[str, Any] | None
) -> Iterator[Parameter]:
    for key, spec in space.items():
        if key == "_name":
            continue
        name = f"{prefix}{key}"
        try:
            parameter = _parameter(name, spec["_type"], spec["_value"], condition)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"{name}: {error}") from None
        yield parameter
        for option in parameter.options:
            if _is_nested(option):
                yield from _parameters(option, f"{name}.{option['_name']}.", (name, option["_name"]))


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
    return Parameter(name, CategoricalDistribution(floats), condition, (), floats, normal)


def _tidy(value: float) -> float:
    """0.3 for 0.30000000000000004, which three steps of 0.1 are."""
    return float(f"{value:.12g}")


def _is_even(grid: Sequence[float], step: float) -> bool:
    return all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in pairwise(grid))


def _choice(name: str, options: Sequence[Any], condition: tuple[str, Any] | None) -> Parameter:
    if not options:
        raise ValueError("the choice is empty")
    nested = [_is_nested(option) for option in options]
    if any(nested) and not all(nested):
        bare = options[nested.index(False)]
        raise ValueError(f"if one option has a _name, all need one: {bare!r}")
    labels = [_label(option) for option in options]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise ValueError(f"two options are {twice[0]!r}")
    numbers = [_number(option) for option in options]
    ordered = tuple(float(number) for number in numbers if number is not None)
    if len(ordered) < len(options):
        ordered = ()
    return Parameter(name, CategoricalDistribution(labels), condition, tuple(options), ordered)


def _is_nested(option: Any) -> bool:
    return isinstance(option, Mapping) and "_name" in option


def _label(option: Any) -> Any:
    """An option as a study can hold it: a list of steps is its text."""
    if _is_nested(option):
        return option["_name"]
    if option is None or isinstance(option, bool | int | float | str):
        return option
    return json.dumps(option, sort_keys=True)


def _number(option: Any) -> float | None:
    """The number that orders an option among others: its own, or the area of an image size like 48x36."""
    if isinstance(option, int | float) and not isinstance(option, bool):
        return option
    if isinstance(option, str):
        height, _, width = option.partition("x")
        if height.isdecimal() and width.isdecimal():
            return int(height) * int(width)
    return None


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    name, distribution = parameter.name, parameter.distribution
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    return trial.suggest_float(
        name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
    )


def _flat(point: Mapping[str, Any], known: Mapping[str, Parameter], prefix: str = "") -> Params:
    """NNI's point with a key for each value: the option's `_name` as the choice's, its parameters beside
    it."""
    flat: Params = {}
    for key, value in point.items():
        name = f"{prefix}{key}"
        if _is_nested(value):
            flat[name] = value["_name"]
            inner = {inner: v for inner, v in value.items() if inner != "_name"}
            flat |= _flat(inner, known, f"{name}.{value['_name']}.")
        else:
            flat[name] = value
    return flat


def _fitting(parameter: Parameter, value: Any) -> tuple[Any, str]:
    """The value as the study holds it, and '' or why it does not fit."""
    distribution = parameter.distribution
    if isinstance(distribution, CategoricalDistribution):
        label = _label(value)
        for choice in distribution.choices:
            if _is_same(choice, label):
                return choice, ""
        return None, f"{label!r} is not an option{_near(label, distribution.choices)}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, f"{value!r} is not a number"
    low, high, step = distribution.low, distribution.high, distribution.step
    if not low <= value <= high:
        return None, f"{value:g} is not from {low:g} to {high:g}"
    if step and not math.isclose(steps := (value - low) / step, round(steps), abs_tol=1e-6):
        return None, f"{value:g} is not on the step of {step:g} from {low:g}"
    return parameter.value(parameter.position(value)) if step else float(value), ""


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


def _near(name: Any, known: Any) -> str:
    close = difflib.get_close_matches(str(name), [str(other) for other in known], n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
