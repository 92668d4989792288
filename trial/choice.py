"""A named choice that carries its own parameters: `{"_name": "focal", "gamma": 2.0}`."""

import functools
import inspect
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from common.errors import unknown
from common.kinds import is_number
from trial.aliases import current_name, current_params

Registry = Mapping[str, Callable[..., Any]]
Fraction = Annotated[float, (0, 1)]


@dataclass(frozen=True)
class Choice:
    """A name from a registry with the values of all its parameters, defaults included."""

    name: str
    params: tuple[tuple[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The mapping of the module's docstring; `choose` reads it back."""
        return {"_name": self.name, **dict(self.params)}

    def build(self, registry: Registry, *arguments: Any) -> Any:
        """Call the builder of this name with `arguments` and this choice's parameters."""
        return registry[self.name](*arguments, **dict(self.params))

    def __str__(self) -> str:
        return self.name


def default_choice(registry: Registry, name: str) -> Choice:
    """The choice of this name with default parameters."""
    params = params_of(registry[name]).items()
    return Choice(name, tuple((param, default) for param, (_, default) in params))


@functools.cache
def params_of(builder: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """{parameter: (type, default)}: the keyword-only parameters of a builder."""
    return {
        name: (parameter.annotation, parameter.default)
        for name, parameter in inspect.signature(builder).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def typed(value: Any, kind: Any) -> Any:
    """`value` as `kind`: bool, int, float, str, a Literal, or a number within inclusive bounds,
    `Annotated[float, (0, 1)]`. ValueError says what was expected."""
    if typing.get_origin(kind) is Annotated:
        number, (low, high) = typing.get_args(kind)
        value = typed(value, number)
        if not low <= value <= high:
            bounds = f"from {low} to {high}" if high < math.inf else f"{low} or more"
            raise ValueError(f"{value} is not {bounds}")
        return value
    if typing.get_origin(kind) is typing.Literal:
        allowed = typing.get_args(kind)
        if value in allowed:
            return value
        raise ValueError(unknown("value", value, map(str, allowed)))
    if kind is float and is_number(value):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind in (int, float) and isinstance(value, str):
        raise ValueError(f"{value!r} is text, not a number{number_hint(value, kind)}")
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a word"}
    raise ValueError(f"{value!r} is not {words[kind]}")


def number_hint(text: Any, kind: type = float) -> str:
    """'; write 0.0001' for the text '1e-4', '' if it is not a number."""
    try:
        number = kind(float(text))
        return f"; write {decimal(number)}" if number == float(text) else ""
    except (TypeError, ValueError, OverflowError):
        return ""


def decimal(number: float) -> str:
    """0.0001 -> '0.0001', not '1e-4', which YAML reads as text."""
    return format(Decimal(repr(number)), "f")


def choose(what: str, value: Any, registry: Registry, errors: list[str]) -> Choice | None:
    """A name or `{"_name": ..., parameter: ...}` as a Choice; messages about mistakes are added to
    `errors`."""
    if isinstance(value, Choice):
        value = value.to_json()
    given = dict(value) if isinstance(value, Mapping) else {"_name": value}
    name = current_name(what, given.pop("_name", None))
    if not isinstance(name, str) or name not in registry:
        errors.append(unknown(what, name, registry))
        return None
    params_given = current_params(name, given)
    if len(params_given) < len(given):
        errors.append(f"{what}={name}: {', '.join(given)} name one parameter twice, by an earlier name too")
    given = params_given
    params = params_of(registry[name])
    for key in given.keys() - params.keys():
        errors.append(f"{what}={name}: " + unknown("parameter", key, params))
    chosen = []
    for key, (kind, default) in params.items():
        try:
            chosen.append((key, typed(given[key], kind) if key in given else default))
        except ValueError as error:
            errors.append(f"{what}.{key}: {error}")
    return Choice(name, tuple(chosen))


def choose_or_default(
    what: str, value: Any, registry: Registry, default: str, errors: list[str]
) -> Choice | None:
    """As `choose`; parameters without a name (head.dropout=0.3) go to the default choice if it has them."""
    if not isinstance(value, Mapping) or "_name" in value:
        return choose(what, value, registry, errors)
    unknown_params = value.keys() - params_of(registry[default]).keys()
    for param in sorted(unknown_params):
        owners = [owner for owner, built in registry.items() if param in params_of(built)]
        which = f"is a parameter of which {what}? give it too, such as {what}={''.join(owners[:1])}"
        params = [known for built in registry.values() for known in params_of(built)]
        errors.append(f"{what}.{param}: {which if owners else unknown('parameter', param, params)}")
    return None if unknown_params else choose(what, {"_name": default, **value}, registry, errors)
