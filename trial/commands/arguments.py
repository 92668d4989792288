"""The `key=value` arguments of the command line, the tuner's values and a recipe file's, as one mapping for
`parse`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from common.errors import UsageError, unknown
from common.text import number_text
from trial.aliases import current_field
from trial.catalogue import model_fields
from trial.choice import params_of
from trial.config import CHOICES, FIELDS, PLACES


def parse_arguments(arguments: Iterable[str], tuner: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`key=value` texts, merged with the tuner's values, as {field: JSON value} for `trial.config.parse`.

    `loss=focal loss.gamma=2` is `{"loss": {"_name": "focal", "gamma": 2}}`. UsageError if a key is given
    twice, or by both the command and the tuner, or the metric by the tuner.
    """
    errors: list[str] = []
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals:
            errors.append(f"'{argument}' is not key=value (an example: learning_rate=0.001)")
            continue
        field, _, param = key.partition(".")
        field = current_field(field)
        value = _of_param(field, param, text) if param else _from_text(field, text)
        if param:
            target, key_in = _as_choice(values.get(field, {})), param
            values[field] = target
        elif isinstance(values.get(field), dict) and not values[field].keys() & {"_name", "steps"}:
            # loss.gamma came first
            target, key_in = values[field], _key(value)
        else:
            target, key_in = values, field
        if key_in in target:
            earlier = "" if current_field(key) == key else f"; today's name is {current_field(key)}"
            errors.append(f"{key} is given twice{earlier}")
        target[key_in] = value
    for given, value in (tuner or {}).items():
        key = current_field(given)
        # A network carries fields of its own: {"_name": "resnet18", "batch_size": 32}.
        if "metric" in (key, *(model_fields(value) if key == "model" else ())):
            errors.append("metric: is what the search optimises, it can't be searched")
            continue
        if key.partition(".")[0] in values:
            errors.append(f"{key} is given by both the command and the search space; take it out of one")
        values[key] = value
    if errors:
        raise UsageError(errors)
    return values


def read_recipe_file(path: Path) -> dict[str, Any]:
    """The JSON object in a recipe file: the fields are its `recipe`. A run's config.json is such an object's
    `recipe` without PLACES. UsageError if it is damaged."""
    try:
        read = json.loads(path.read_text())
    except FileNotFoundError:
        there = sorted(other.name for other in path.parent.glob("*.json"))
        why = unknown("file", path.name, there)
        raise UsageError(f"{path}: can't be read as a recipe ({why}); recipes/ has examples") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can't be read as a recipe ({error}); recipes/ has examples") from None
    if not isinstance(read, dict):
        raise UsageError(f"{path}: not a recipe; recipes/ has examples")
    if "recipe" not in read:
        read = {"recipe": {key: value for key, value in read.items() if key not in PLACES}}
    if not isinstance(read["recipe"], dict):
        raise UsageError(f"{path}: 'recipe' must hold a recipe's fields; recipes/ has examples")
    return read


def changed(recipe: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `recipe`, with `values` (of `parse_arguments`) instead of its own. A parameter alone
    (`loss.gamma=1`) is changed in the recipe's choice."""
    own = {key: value for key, value in recipe.items() if current_field(key) not in values}
    before = {current_field(key): value for key, value in recipe.items()}
    for field, value in values.items():
        if isinstance(value, Mapping) and not {"_name", "steps"} & value.keys() and field in before:
            value = {**_as_choice(before[field]), **value}
        own[field] = value
    return own


def _as_choice(value: Any) -> dict[str, Any]:
    """The mapping that a choice's parameters are set in: of its name, or of a list, which is the steps of an
    augmentation policy."""
    return value if isinstance(value, dict) else {_key(value): value}


def _key(value: Any) -> str:
    return "steps" if isinstance(value, list) else "_name"


def argument_text(value: Any) -> str:
    """A JSON value of a field as `parse_arguments` reads it back from `key=value`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and float(short := number_text(value)) == value:
        return short
    return json.dumps(value)


def _from_text(field: str, text: str) -> Any:
    """The text as a JSON value of the field's type; as text if it doesn't fit."""
    kind = FIELDS[field].type if field in FIELDS else str
    if bool in (kind, *get_args(kind)):
        return {"true": True, "false": False}.get(text.lower(), text)
    for number in (kind, *get_args(kind)):  # of `Annotated[float, ...]` and `int | ...` too
        if number in (int, float):
            try:
                return number(text)
            except ValueError:
                return text
    return _json_or_text(text) if text[:1] in "{[" and text else text


def _of_param(field: str, param: str, text: str) -> Any:
    """The text as the JSON value of a choice's parameter; as text if that is one (a folder named 123)."""
    kinds = [params_of(builder)[param][0] for builder in CHOICES.get(field, {}).values()
             if param in params_of(builder)]  # fmt: skip
    return text if kinds == [str] and text[:1] != '"' else _json_or_text(text)


def _json_or_text(text: str) -> Any:
    for read in (json.loads, float):  # float reads .5, JSON does not
        try:
            return read(text)
        except ValueError:
            continue
    return text
