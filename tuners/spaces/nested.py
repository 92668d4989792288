"""Options of NNI's choices that have parameters of their own: {"_name": "focal", "gamma": ...}."""

from collections.abc import Mapping
from typing import Any


def is_nested(option: Any) -> bool:
    """Whether an option of NNI's choice has parameters of its own, or a place for them."""
    return isinstance(option, Mapping) and "_name" in option


def parameters_of(option: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a nested option: all but its name."""
    return {key: value for key, value in option.items() if key != "_name"}


def name_of(option: Any) -> Any:
    """That of a nested option; another option as it is."""
    return option["_name"] if is_nested(option) else option
