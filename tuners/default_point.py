"""The recipe that a search space calls its default: what trial 0 of every search measures."""

import math
from collections.abc import Mapping
from typing import Any

Space = Mapping[str, Any]


def default_point(space: Space, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The first option of every choice, and the middle of every range, as NNI would hand it to a trial.

    The middle is the geometric one for log ranges and the arithmetic one otherwise. An option with a `_name`
    brings its own default numbers along. `default` ({key: value}) replaces what the rule gives for these
    keys; ValueError names those that the space doesn't have.
    """
    default = default or {}
    strangers = sorted(default.keys() - space.keys())
    if strangers:
        raise ValueError(f"default: {', '.join(strangers)} not in the search space ({', '.join(space)})")
    return {key: default[key] if key in default else _default(spec) for key, spec in space.items()}


def _default(spec: Mapping[str, Any]) -> Any:
    kind, values = spec["_type"], spec["_value"]
    if kind == "choice":
        first = values[0]
        if isinstance(first, Mapping) and "_name" in first:
            inner = {key: sub for key, sub in first.items() if key != "_name"}
            return {"_name": first["_name"], **default_point(inner)}
        return first
    if kind == "randint":  # the upper end is not included
        low, high = (math.ceil(value) for value in values[:2])
        return low + (high - low) // 2
    return _on_grid(_middle(kind, values), kind, values)


def _middle(kind: str, values: list[float]) -> float:
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


def _on_grid(value: float, kind: str, values: list[float]) -> float:
    """Rounded to the step of a q range, and back into it."""
    if not kind.startswith("q"):
        return value
    value = round(value / values[2]) * values[2]
    return min(max(value, values[0]), values[1]) if kind.endswith("uniform") else value
