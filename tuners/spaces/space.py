"""An NNI search space as flat parameters: names, Optuna distributions, conditions, and positions in an array.

A nested choice, `loss: {"_name": "focal", "gamma": uniform}`, is two parameters: `loss`, with "focal" among
its options, and `loss.focal.gamma`, on the condition that `loss` is "focal". Values of the active parameters
are *params* ({name: value}, as an Optuna study holds them); NNI's nested form of the same is a *point*.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import optuna

from tuners.errors import did_you_mean
from tuners.spaces.nested import is_nested, parameters_of
from tuners.spaces.parameter import Distribution, Parameter, Params, flat_parameters


class Space:
    """The parameters of an NNI search space, a choice before the parameters of its options.

    An array of *positions* (recipes, parameters) holds recipes for models: see `Parameter.position`; NaN
    where a parameter is not active. ValueError if the space is not one that NNI could draw from.
    """

    def __init__(self, nni_space: Mapping[str, Any]):
        self.parameters: tuple[Parameter, ...] = tuple(flat_parameters(nni_space))
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

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether these are the params of a whole recipe of this space."""
        active = {parameter.name: parameter for parameter in self._active(params)}
        return active.keys() == params.keys() and not any(active[k].fitting(v)[1] for k, v in params.items())

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
        left = flat(point)
        for parameter in self._active(params):
            if parameter.name not in left:
                errors.append(f"{parameter.name} is missing")
                continue
            value, message = parameter.fitting(left.pop(parameter.name))
            if message:
                errors.append(f"{parameter.name}: {message}")
            else:
                params[parameter.name] = value
        wrong = [
            name for name in left if not any(name.startswith(f"{error.split(':')[0]}.") for error in errors)
        ]
        errors += [f"{name} is not in the search space{did_you_mean(name, self._by_name)}" for name in wrong]
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
                if is_nested(option):
                    option = inside[parameter.name, value] = {"_name": option["_name"]}
                value = option
            into[key] = value
        return point

    def ask(self, trial: optuna.Trial) -> dict[str, Any]:
        """NNI's point that the study's sampler suggests: one `suggest_*` for each active parameter, in
        order."""
        params: Params = {}
        for parameter in self._active(params):
            params[parameter.name] = parameter.suggest(trial)
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

    def places(self, values: Mapping[str, Any]) -> np.ndarray:
        """As `positions`, of values that may lie outside the space (`Parameter.place`)."""
        places = {one.name: one.place(values[one.name]) for one in self._active(values)}
        return np.array([places.get(one.name, math.nan) for one in self.parameters])

    def has_place(self, values: Mapping[str, Any]) -> bool:
        """Whether every active parameter has a value that has a place."""
        try:
            return not np.isnan(self.places(values)).all()
        except (KeyError, ValueError):
            return False

    def at(self, positions: np.ndarray) -> Params:
        """The params at the positions (parameters,) of one recipe."""
        pairs = zip(self.parameters, positions.tolist(), strict=True)
        return {
            parameter.name: parameter.value(position) for parameter, position in pairs if position == position
        }

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Positions (count, parameters) of random recipes."""
        return self.conditioned(self._draw_all(rng, count))

    def draw_one(self, name: str, *seed: int) -> Any:
        """A random value of one parameter."""
        rng = np.random.default_rng([*seed, zlib.crc32(name.encode())])
        return self[name].value(self[name].draw(rng, 1)[0])

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


def flat(point: Mapping[str, Any], prefix: str = "") -> Params:
    """NNI's point with a key for each value: the option's `_name` as the choice's, the rest beside it."""
    found: Params = {}
    for key, value in point.items():
        name = f"{prefix}{key}"
        if is_nested(value):
            found[name] = value["_name"]
            found |= flat(parameters_of(value), f"{name}.{value['_name']}.")
        else:
            found[name] = value
    return found


def recipe_key(params: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The same for equal recipes; a key of dicts and sets."""
    return tuple(sorted(params.items()))
