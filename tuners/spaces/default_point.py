"""The default point of a search space, which trial 0 of a search measures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuners.spaces.nested import is_nested, name_of, parameters_of

Space = Mapping[str, Any]


def default_point(space: Space, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The first option of every choice and the middle of every range, as NNI hands a point to a trial.

    The middle is the geometric mean of the ends for log ranges, the arithmetic mean otherwise. An option with
    a `_name` carries its own default parameters. `default` ({key: value}) replaces the value of these keys;
    ValueError if the space lacks one of them.
    """
    default = default or {}
    unknown = sorted(default.keys() - space.keys())
    if unknown:
        raise ValueError(f"default: {', '.join(unknown)} not in the search space ({', '.join(space)})")
    return {
        key: _stated(key, default[key], spec) if key in default else _default(spec)
        for key, spec in space.items()
    }


def _stated(key: str, value: Any, spec: Mapping[str, Any]) -> Any:
    """A stated default; of an option with a `_name`, what it leaves out is the option's own default."""
    if spec["_type"] != "choice":
        return value
    for option in spec["_value"]:
        if not is_nested(option):
            if option == value:
                return value
            continue
        given = value if isinstance(value, Mapping) else {"_name": value}
        if given.get("_name") == option["_name"]:
            inner = default_point(parameters_of(option), parameters_of(given))
            return {"_name": option["_name"], **inner}
    options = list(map(name_of, spec["_value"]))
    raise ValueError(f"default: {key}={value!r} is not an option of the search space, which has {options}")


def _default(spec: Mapping[str, Any]) -> Any:
    kind, values = spec["_type"], spec["_value"]
    if kind == "choice":
        first = values[0]
        if is_nested(first):
            return {"_name": first["_name"], **default_point(parameters_of(first))}
        return first
    if kind == "randint":  # the upper end is not included
        low, high = (math.ceil(value) for value in values[:2])
        return low + (high - low) // 2
    return middle_of(kind, values)


def middle_of(kind: str, values: Sequence[float]) -> float:
    """The middle of a range of any `_type` but randint, from its `_value`: on its step, if it has one."""
    return _on_grid(_middle(kind, values), kind, values)


def _middle(kind: str, values: Sequence[float]) -> float:
    first, second = values[:2]
    if kind in ("normal", "qnormal"):
        return first
    if kind in ("lognormal", "qlognormal"):
        return math.exp(first)
    if kind in ("loguniform", "qloguniform"):
        return math.sqrt(first * second)
    if kind in ("uniform", "quniform"):
        return (first + second) / 2
    raise ValueError(f"unknown _type {kind!r} in the search space")


def _on_grid(value: float, kind: str, values: Sequence[float]) -> float:
    """`value` rounded to the step of a q range, and clipped to the range."""
    if not kind.startswith("q"):
        return value
    value = round(value / values[2]) * values[2]
    return min(max(value, values[0]), values[1]) if kind.endswith("uniform") else value
