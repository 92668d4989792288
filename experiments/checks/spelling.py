"""Names and values of a search space that trials write otherwise: 64X48, or names of earlier versions.

The tuner knows nothing of fields, so it finds an earlier recipe in a space by what its run folder says.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from common.errors import UsageError
from experiments.checks.space import is_nested, parameters_of
from trial.aliases import current_field
from trial.config import FIELDS, parse


def spelling_errors(space: Mapping[str, Any]) -> list[str]:
    """What a search with `first` or `warm_start` would not find in the recipes of other experiments."""
    errors = []
    for key, spec in space.items():
        field = current_field(key)
        if field != key:
            errors.append(
                f"{key}: trials call it {field}: write that, or first and warm_start do not find it"
            )
        if field not in FIELDS or spec["_type"] != "choice":
            continue
        for option in spec["_value"]:
            given = option["_name"] if is_nested(option) else option
            with suppress(UsageError):  # is refused elsewhere, or is none without other fields
                own = parse({field: given}, False).to_json()[field]
                own = own["_name"] if isinstance(own, Mapping) else own
                if own != _spelling(given):
                    errors.append(
                        f"{key}: trials write {own!r} for {given!r}: write that, or first and warm_start do "
                        "not find it"
                    )
            if field == "model" and is_nested(option):  # it carries fields
                errors += spelling_errors(parameters_of(option))
    return errors


def _spelling(given: Any) -> Any:
    """The value as a run folder has it; a list of steps is named after them."""
    if isinstance(given, list) and all(isinstance(step, str | Mapping) for step in given):
        return "+".join(step["_name"] if isinstance(step, Mapping) else step for step in given) or "none"
    return given
