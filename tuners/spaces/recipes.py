"""Recipes from elsewhere as points of a search space."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuners.errors import UsageError
from tuners.spaces.default_point import default_point
from tuners.spaces.nested import is_nested, name_of, parameters_of
from tuners.spaces.parameter import Params
from tuners.spaces.space import Space

PROJECT = Path(__file__).resolve().parents[2]
NNISpace = Mapping[str, Any]


@dataclass(frozen=True)
class First:
    """A known good recipe, or a point of the space."""

    name: str
    fields: Mapping[str, Any]
    is_point: bool = False

    def params(self, nni_space: NNISpace, default: Mapping[str, Any] | None) -> tuple[Params, list[str]]:
        """Its params, and a sentence on each field that it lacks or that loses something; ValueError says
        what does not fit.

        A point may name only what is searched; a recipe's other fields are the experiment's.
        """
        space = Space(nni_space)
        if self.is_point:
            return space.params(default_point(nni_space, {**(default or {}), **self.fields})), []
        point, missing, wrong = point_of(nni_space, self.fields)
        if wrong:
            raise ValueError("; ".join(wrong))
        notes = [f"has no {', '.join(missing)}: the default's"] if missing else []
        notes += [lost for key in point if (lost := _lost(key, point[key], self.fields.get(key)))]
        return space.params({**default_point(nni_space, default), **point}), notes


def _lost(key: str, taken: Any, given: Any) -> str:
    """What a choice's parameters are that the option of the space has no place for; '' if there are none."""
    inside = taken if is_nested(taken) else {}
    lost = given.keys() - inside.keys() - {"_name", "steps"} if is_nested(given) else ()
    words = ", ".join(f"{key}.{name}={given[name]}" for name in sorted(lost))
    return f"is tried without its {words}: the search space has no place for that" if words else ""


def read_first(given: Any) -> list[First]:
    """The known good recipes of a YAML: paths of JSON files, relative to the project, or points.

    UsageError names every one that can't be read.
    """
    found, errors = [], []
    for number, one in enumerate([given] if isinstance(given, str | Mapping) else given or (), 1):
        if isinstance(one, Mapping):
            found.append(First(f"point {number}", one, True))
        elif isinstance(one, str):
            try:
                found.append(First(one, _recipe(one)))
            except UsageError as error:
                errors += error.errors
        else:
            errors.append(f"first: {one!r} is neither the path of a recipe nor a mapping of fields to values")
    if errors:
        raise UsageError(errors)
    return found


def _recipe(name: str) -> Mapping[str, Any]:
    path = PROJECT / name
    if not path.is_file():
        names = ", ".join(sorted(f"recipes/{one.name}" for one in (PROJECT / "recipes").glob("*.json")))
        raise UsageError(f"first: there is no {name}; recipes of the project: {names or 'none'}")
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))["recipe"]
        if not isinstance(recipe, dict):
            raise ValueError("its recipe is not a mapping")
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"first: {name} is not a recipe ({error!r})") from None
    return recipe


def point_of(nni_space: NNISpace, recipe: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """(point, fields that the recipe lacks, what does not fit) for the searched fields of a recipe; the point
    holds what does not fit, too.

    A recipe names a choice with all its parameters, {"_name": "focal", "gamma": 2.0}; an option of the space
    may name it alone. A network carries fields of the recipe: {"_name": "resnet34", "batch_size": ...}.
    """
    point: dict[str, Any] = {}
    missing, wrong = [], []
    for key, spec in nni_space.items():
        value = _given(recipe, key)
        if value is None:
            missing.append(key)
            continue
        point[key], errors = _fitted(key, spec, value, recipe)
        wrong += errors
    return point, missing, wrong


def _given(recipe: Mapping[str, Any], key: str) -> Any:
    """A field's value; of `loss.gamma` the choice's parameter, of `flip.p` that of a policy's step. None: it
    has none."""
    if key in recipe:
        return recipe[key]
    name, _, param = key.partition(".")
    steps = recipe.get("steps")
    inside = recipe.get(name) or next((s for s in steps or () if is_nested(s) and s["_name"] == name), None)
    return inside.get(param) if isinstance(inside, Mapping) and param else None


def _fitted(
    key: str, spec: Mapping[str, Any], value: Any, recipe: Mapping[str, Any]
) -> tuple[Any, list[str]]:
    """The value as the space holds it, or as it is, and what does not fit."""
    if spec["_type"] == "choice":
        for option in spec["_value"]:
            if _is_option(option, value):
                if not is_nested(option):
                    return option, []
                inner = parameters_of(option)
                point, missing, wrong = point_of(inner, value if is_nested(value) else recipe)
                point = {**default_point({name: inner[name] for name in missing}), **point}
                return {"_name": option["_name"], **point}, [f"{key}.{one}" for one in wrong]
        return name_of(value), [f"{key}: {name_of(value)!r} is not an option of the search space"]
    alone = Space({key: spec})
    try:
        return alone.point(alone.params({key: value}))[key], []
    except ValueError as error:
        return value, [str(error)]


def _is_option(option: Any, value: Any) -> bool:
    if is_nested(option):
        return option["_name"] == name_of(value)
    if isinstance(option, list):  # the steps of a policy, whose default parameters may be left out
        steps = value.get("steps") if isinstance(value, Mapping) else value
        return (
            isinstance(steps, list)
            and len(steps) == len(option)
            and all(
                _step(ours).items() <= _step(theirs).items()
                for ours, theirs in zip(option, steps, strict=True)
            )
        )
    value = name_of(value)
    return option == value and isinstance(option, bool) == isinstance(value, bool)


def _step(step: Any) -> dict[str, Any]:
    return dict(step) if isinstance(step, Mapping) else {"_name": step}
