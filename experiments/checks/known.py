"""Known good recipes, those in recipes/, that a search asks right after its default: what it can train.

A recipe is asked if a point of the search space, with the words that are fixed for all trials, trains just
that recipe, for as long and measured as the experiment says (MEASURE). Nothing of it is left out or moved
into the space.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.kinds import is_number
from common.machine import PROJECT
from experiments.checks.space import is_nested, parameters_of
from trial.aliases import current_field
from trial.catalogue import model_fields
from trial.commands.arguments import parse_arguments
from trial.config import FIELDS, PLACES, TrialConfig, parse

RECIPES = PROJECT / "recipes"
MEASURE = (
    "epochs", "patience", "patience_on", "metric", "train_fraction", "fold", "folds", "fold_order", "seed",
    "precision", "corrections", "group",
)  # fmt: skip
COMPARED = tuple(name for name in FIELDS if name not in (*PLACES, *MEASURE))
PART, MOST = 4, 3  # they are at most a quarter of the trainings, and at most three
SHOWN = 2  # fields by which a recipe differs
Space = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """`points` of a space that are known good recipes, and `notes` on those and on the others."""

    points: list[dict[str, Any]]
    notes: list[str]


def known_recipes(
    space: Space, fixed: tuple[str, ...], first: list[Any], trainings: float | None, folder: Path = RECIPES
) -> Known:
    """The recipes in `folder` that trials with these `fixed` words can train, but for what `first` names.

    `first`: recipes and points that the YAML names; they count among those that may be asked of a search of
    this many `trainings` (None: any number).
    """
    asked = [one for one in first if isinstance(one, str)]
    room = max(0, min(MOST, MOST if trainings is None else int(trainings // PART)) - len(first))
    points: list[dict[str, Any]] = []
    named: list[str] = []
    over: list[str] = []
    others: list[str] = []
    notes: list[str] = []
    for path, recipe in _recipes(folder):
        point, differ = point_of(space, fixed, recipe)
        if f"recipes/{path.name}" in asked:
            if fixed_differ := [field for field in differ if field not in space]:
                notes.append(
                    f"first: recipes/{path.name}: the experiment's {_some(fixed_differ)}, not the recipe's"
                )
        elif point is None:
            others.append(f"{path.stem} ({_some(differ)})")
        elif point not in points:
            points.append(point)
            (named if len(points) <= room else over).append(path.stem)
    if named:
        notes.append(f"known good recipes, tried first: {', '.join(named)}")
    if over:
        notes.append(f"known good recipes, not tried, as at most {room} are: {', '.join(over)}")
    if others:
        notes.append(f"known good recipes that these trials can't train as they are: {', '.join(others)}")
    return Known(points[:room], notes)


def _some(fields: list[str]) -> str:
    return ", ".join(fields[:SHOWN]) + (", ..." if fields[SHOWN:] else "")


def _recipes(folder: Path) -> Iterator[tuple[Path, TrialConfig]]:
    """Path and config of each recipe that can be read, once each: a link is another name of one."""
    seen = []
    for path in sorted(folder.glob("*.json")):
        try:
            recipe = parse(json.loads(path.read_text())["recipe"], False)
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            continue  # python -m analysis says what is wrong with it
        if recipe not in seen:
            seen.append(recipe)
            yield path, recipe


def point_of(
    space: Space, fixed: tuple[str, ...], recipe: TrialConfig
) -> tuple[dict[str, Any] | None, list[str]]:
    """The point of the space that trains the recipe, None if there is none; the fields that differ."""
    values, point = recipe.to_json(), {}
    differ = []
    for key, spec in space.items():
        field = current_field(key)
        if field in MEASURE:
            continue  # the default's
        candidates = _candidates(spec, values.get(field), values if field == "model" else None)
        found = next((one for one in candidates if _is_same(field, one, recipe)), None)
        if found is None:
            differ.append(key)
        else:
            point[key] = found
    searched = {name for key, spec in space.items() for name in _fields(current_field(key), spec)}
    try:
        config = parse(parse_arguments(fixed, point), False)
        differ += [
            name
            for name in COMPARED
            if name not in searched.difference(point) and getattr(config, name) != getattr(recipe, name)
        ]
    except UsageError:
        differ += [] if differ else ["a trial refuses it"]
    return (None if differ else point), list(dict.fromkeys(differ))


def _fields(key: str, spec: Mapping[str, Any]) -> set[str]:
    """The fields that a key of the space sets: options of a network set others, too."""
    options = spec["_value"] if key == "model" and spec["_type"] == "choice" else []
    return {key}.union(*(model_fields(option) for option in options))


def _candidates(spec: Mapping[str, Any], value: Any, beside: Mapping[str, Any] | None) -> Iterator[Any]:
    """Values of the space that may be the recipe's `value`. `beside`: the recipe, where a network's option
    finds the fields that it carries."""
    kind, options = spec["_type"], spec["_value"]
    if kind != "choice":
        if is_number(value) and _in_range(kind, options, value):
            yield value
        return
    name = value.get("_name") if isinstance(value, Mapping) else value
    for option in options:
        if not is_nested(option):
            yield option
        elif option["_name"] == name:
            given = beside if beside is not None else value if isinstance(value, Mapping) else {}
            inner = parameters_of(option)
            each = (list(_candidates(sub, _inside(given, key), None)) for key, sub in inner.items())
            yield from ({"_name": name, **dict(zip(inner, chosen, strict=True))} for chosen in product(*each))


def _in_range(kind: str, values: Sequence[float], value: float) -> bool:
    if kind == "randint":  # its upper end is not drawn
        return values[0] <= value < values[1] and value == int(value)
    if "normal" not in kind and not values[0] <= value <= values[1]:
        return False
    on_step = not kind.startswith("q") or math.isclose(round(value / values[2]) * values[2], value)
    return on_step or ("normal" not in kind and value in values[:2])


def _inside(given: Mapping[str, Any], key: str) -> Any:
    """A parameter's value; of `flip.p` that of a policy's step."""
    step, _, param = key.partition(".")
    steps = given.get("steps") or []
    found = next((one for one in steps if isinstance(one, Mapping) and one.get("_name") == step), {})
    return given.get(key, found.get(param))


def _is_same(field: str, value: Any, recipe: TrialConfig) -> bool:
    """Whether the recipe is the same with this value of the field."""
    own = model_fields(value) if field == "model" else {field: value}
    others = {name: one for name, one in recipe.to_json().items() if name not in own}
    try:
        return parse(others | {field: value}, False) == recipe
    except UsageError:
        return False
