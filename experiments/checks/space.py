"""A search space: its errors, its description, points that cover it, and the space without a field."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

from common.errors import unknown
from common.kinds import is_number
from common.text import value_text
from trial.aliases import current_field
from trial.catalogue import model_fields
from trial.choice import number_hint

# Length of `_value` for each kind of range.
RANGES = {"uniform": 2, "loguniform": 2, "quniform": 3, "qloguniform": 3, "randint": 2,
          "normal": 2, "lognormal": 2, "qnormal": 3, "qlognormal": 3}  # fmt: skip
KINDS = ("choice", *RANGES)
INSIDE = 0.38  # fraction of a range, not a round one, so that a field that takes integers only is noticed
Space = Mapping[str, Any]


def space_errors(space: Any, where: str = "") -> list[str]:
    """What NNI could not draw from. Names and values of fields are checked with the recipe."""
    if not isinstance(space, Mapping):
        return [f"{where or 'the space'}: {space!r} is not a mapping of names to {{_type, _value}}"]
    errors = []
    for key, spec in space.items():
        name = f"{where}{key}"
        if not isinstance(key, str):
            errors.append(f"{name}: is not the name of a field")
            continue
        if not isinstance(spec, Mapping) or "_type" not in spec or "_value" not in spec:
            example = '{"_type": "choice", "_value": [...]}'
            errors.append(f"{name}: {spec!r} has no _type and _value; one value alone is {example}")
            continue
        errors += [f"{name}: {unknown('key', k, ('_type', '_value'))}" for k in spec if k[:1] != "_"]
        kind, values = spec["_type"], spec["_value"]
        if kind not in KINDS:
            errors.append(f"{name}: {unknown('_type', kind, KINDS)}")
        elif not isinstance(values, list) or not values:
            errors.append(f"{name}: _value {values!r} is not a list with something in it")
        elif kind == "choice":
            errors += _choice_errors(name, values)
        else:
            errors += _range_errors(name, kind, values)
    return errors


def _choice_errors(name: str, values: list[Any]) -> list[str]:
    nested = list(filter(is_nested, values))
    if nested and len(nested) < len(values):
        bare = next(value for value in values if value not in nested)
        return [f'{name}: if one option has a _name, all need one: {bare!r} is {{"_name": {bare!r}}}']
    errors: list[str] = []
    for value in values:
        if value not in nested and isinstance(value, Mapping) and any(map(_is_spec, value.values())):
            errors.append(f'{name}: {value!r} has no _name: which option is it? {{"_name": "focal", ...}}')
    told = list(map(_told, values))
    errors += [f"{name}: two options are {one}" for one in dict.fromkeys(told) if told.count(one) > 1]
    for value in nested:
        errors += space_errors(parameters_of(value), f"{name}.{value['_name']}.")
        if name == "model":
            model_fields(value, errors)
    return errors


def is_nested(option: Any) -> bool:
    """Whether an option of a choice has parameters of its own, or a place for them."""
    return isinstance(option, Mapping) and "_name" in option


def parameters_of(option: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a nested option."""
    return {key: value for key, value in option.items() if key != "_name"}


def _is_spec(value: Any) -> bool:
    return isinstance(value, Mapping) and "_type" in value


def _told(value: Any) -> str:
    """What tells an option from the others: its _name, or its value, where 1 and 1.0 are the same."""
    if is_nested(value):
        return repr(value["_name"])
    if is_number(value):
        return f"{value:g}" if value == float(f"{value:g}") else repr(float(value))
    return repr(value)


def _range_errors(name: str, kind: str, values: list[Any]) -> list[str]:
    if len(values) != RANGES[kind]:
        return [f"{name}: {kind} takes {RANGES[kind]} numbers, not {len(values)}"]
    errors = []
    for value in values:
        if not is_number(value):
            errors.append(f"{name}: {value!r} is text, not a number{number_hint(value)}")
        elif not abs(value) < 1e300:  # infinite, NaN, or an integer too large for a float
            errors.append(f"{name}: {str(value)[:20]} is not a finite number")
    if errors:
        return errors
    if "normal" in kind and values[1] <= 0:
        errors.append(f"{name}: the standard deviation of {kind} must be above 0, not {values[1]}")
    if kind == "randint" and values[0] < values[1] and math.ceil(values[0]) >= math.ceil(values[1]):
        errors.append(f"{name}: there is no integer from {values[0]} to below {values[1]}")
    if "normal" not in kind and values[0] >= values[1]:
        errors.append(f"{name}: {kind} from {values[0]} to {values[1]} is empty")
    if kind in ("loguniform", "qloguniform") and values[0] <= 0:
        errors.append(f"{name}: {kind} must start above 0")
    if kind.startswith("q") and values[2] <= 0:
        errors.append(f"{name}: the step of {kind} must be above 0")
    return errors


def sound(space: Any) -> dict[str, Any]:
    """The part of the space that NNI can draw from, so that one mistake does not hide others."""
    if not isinstance(space, Mapping):
        return {}
    kept: dict[str, Any] = {}
    for key, spec in space.items():
        if (
            isinstance(spec, Mapping)
            and spec.get("_type") == "choice"
            and isinstance(spec.get("_value"), list)
        ):
            values = [
                {"_name": value["_name"], **sound(parameters_of(value))} if is_nested(value) else value
                for value in spec["_value"]
            ]
            spec = {"_type": "choice", "_value": values}
        if not space_errors({key: spec}):
            kept[key] = spec
    return kept


def is_endless(space: Space) -> bool:
    """Whether the space holds a continuous range, whose values can't be tried one by one."""
    return any(
        any(is_endless(parameters_of(value)) for value in _nested(spec))
        or (spec["_type"] in RANGES and spec["_type"] != "randint" and not spec["_type"].startswith("q"))
        for spec in space.values()
    )


def _nested(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The options of a choice that carry parameters."""
    return list(filter(is_nested, spec["_value"])) if spec["_type"] == "choice" else []


def described(space: Space) -> list[str]:
    """A line of text for each field: its options, or its range."""
    width = max(map(len, space), default=0)
    return [f"{key:{width}}  {_description(spec)}" for key, spec in space.items()]


def _description(spec: Mapping[str, Any]) -> str:
    kind, values = spec["_type"], spec["_value"]
    if kind == "choice":
        return ", ".join(map(_option, values))
    if kind == "randint":
        return f"integers from {math.ceil(values[0])} to {math.ceil(values[1]) - 1}"
    if "normal" in kind:
        text = f"{'exp of ' if 'log' in kind else ''}mean {values[0]:g}, standard deviation {values[1]:g}"
    else:
        text = f"{values[0]:g} to {values[1]:g}" + (", by its logarithm" if "log" in kind else "")
    return text + (f", in steps of {values[2]:g}" if kind.startswith("q") else "")


def _option(value: Any) -> str:
    if isinstance(value, list):  # the steps of a policy
        return f"[{', '.join(map(_option, value))}]"
    if not isinstance(value, Mapping):
        return value_text(value)
    params = []
    for key, spec in parameters_of(value).items():
        params.append(f"{key}: {_description(spec) if _is_spec(spec) else value_text(spec)}")
    return str(value.get("_name", "")) + (f" ({'; '.join(params)})" if params else "")


def _alternatives(spec: Mapping[str, Any]) -> list[Any]:
    kind, values = spec["_type"], spec["_value"]
    if kind == "choice":
        found: list[Any] = []
        for value in values:
            if is_nested(value):
                found += [{"_name": value["_name"], **point} for point in covering(parameters_of(value))]
            else:
                found.append(value)
        return found
    if kind == "randint":
        return list(dict.fromkeys([math.ceil(values[0]), math.ceil(values[1]) - 1]))
    if "normal" in kind:
        return [normal_middle(kind, values)]
    low, high = values[:2]
    inside = low + (high - low) * INSIDE
    if kind.startswith("q"):
        inside = min(max(round(inside / values[2]) * values[2], low), high)
    return [inside, low, high]


def normal_middle(kind: str, values: Sequence[float]) -> float:
    """The median of a normal range, on its step if it has one: as tuners/spaces/default_point.py, which other
    packages do not import."""
    middle = math.exp(values[0]) if "log" in kind else values[0]
    return round(middle / values[2]) * values[2] if kind.startswith("q") else middle


def covering(space: Space) -> Iterator[dict[str, Any]]:
    """Points of the space in which every value, and every pair of values, of all choices appears.

    A recipe is impossible because of one value or of two (a network and its image size), so these points find
    it, and they are far fewer than all points of the space.
    """
    options = values_of(space)
    first = {key: values[0] for key, values in options.items()}
    yield first
    for key, values in options.items():
        yield from ({**first, key: value} for value in values[1:])
    for one, two in combinations(options, 2):
        for a, b in product(options[one][1:], options[two][1:]):
            yield {**first, one: a, two: b}


def values_of(space: Space) -> dict[str, list[Any]]:
    """{field: all options of a choice, with all values of their parameters; both ends and the inside of a
    range}. A range without any of these is left out."""
    return {key: values for key, spec in space.items() if (values := _alternatives(spec))}


def each_value(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """As few points as hold each of the `values` (see `values_of`); `covering` has every pair of them."""
    for number in range(max(map(len, values.values()), default=1)):
        yield {key: of_it[number % len(of_it)] for key, of_it in values.items()}


def without(space: Space, field: str) -> dict[str, Any]:
    """The space without `field`, also where an option of the model carries it."""
    kept = {}
    for key, spec in space.items():
        if current_field(key) == field:
            continue
        if key == "model" and _nested(spec):
            options = [model_fields(value) for value in spec["_value"]]
            for option in options:
                option.pop(field, None)
            spec = {**spec, "_value": [{"_name": option.pop("model"), **option} for option in options]}
        kept[key] = spec
    return kept
