"""What there is to choose from: `python -m trial --list [WORD ...]`."""

import json
from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any, get_args

from common.errors import UsageError, unknown
from common.text import number_text
from trial.augment.per_image import PER_IMAGE
from trial.augment.policies import POLICIES, STEPS
from trial.catalogue import networks, steps
from trial.choice import params_of
from trial.config import CHOICES, FIELDS, TrialConfig

BUILDERS = {**CHOICES, "step": {**STEPS, **PER_IMAGE}}
MANY, SOME = 150, 30  # of more names than MANY, the whole list shows SOME


def choices() -> dict[str, list[str]]:
    """{field: names} of everything that has a name."""
    return {
        "model": list(networks()),
        "weights": ["hub", "package", "none", "PATH"],
        **{name: list(registry) for name, registry in CHOICES.items()},
        "augment": list(POLICIES),
        "step": [*STEPS, *PER_IMAGE, *steps()],
        **{name: list(get_args(FIELDS[name].type)) for name in ("precision", "patience_on", "fold_order")},
    }


def matching(words: Collection[str]) -> dict[str, list[str]]:
    """{field: names} where a word is a part of the name, one of its parameters, or a part of the field, which
    then has all its names ([] if it takes a value). UsageError for each word that nothing matches."""
    known = choices()
    known |= {name: [] for name in _defaults() if name not in known}
    found: dict[str, set[str]] = {}
    errors = []
    for word in words:
        part = word.lower()
        hits = {
            field: {
                name for name in names if part in f"{field} {name.lower()}" or part in _params(field, name)
            }
            for field, names in known.items()
        }
        hits = {field: names for field, names in hits.items() if names or part in field}
        if not hits:
            errors.append(unknown("field or name", word, [*known, *chain(*known.values())]))
        for field, names in hits.items():
            found.setdefault(field, set()).update(names)
    if errors:
        raise UsageError(errors)
    return {
        field: [n for n in names if n in found[field]] for field, names in known.items() if field in found
    }


def show(as_json: bool, words: Collection[str] = ()) -> None:
    """Prints them, for people or as one line of JSON; with `words`, those that match one."""
    named = matching(words) if words else choices()
    if as_json:
        print(json.dumps(named))
        return
    for field, names in named.items():
        if not names:
            continue
        cut = len(names) > MANY and not words
        shown = [*names[:SOME], f"... {len(names)} in all (--list {field})"] if cut else names
        # albumentations' parameters would be most of the whole list
        entries = [name + (_written(field, name) if words or name not in steps() else "") for name in shown]
        print(f"{field}\n  {', '.join(entries)}")
    fields = (
        [name for name, names in named.items() if not names] if words else _defaults().keys() - named.keys()
    )
    plain = [f"{name}={value}" for name, value in _defaults().items() if name in fields]
    if plain:
        print(f"others, with their defaults\n  {', '.join(plain)}")


def _defaults() -> dict[str, Any]:
    return TrialConfig().to_json()


def _params(field: str, name: str) -> Mapping[str, Any]:
    """{parameter: default} of a choice."""
    if name in (builders := BUILDERS.get(field, {})):
        return {param: default for param, (_, default) in params_of(builders[name]).items()}
    return steps().get(name, {}) if field == "step" else {}


def _written(field: str, name: str) -> str:
    """' (gamma=2)' of a choice that has parameters."""
    written = [
        f"{param}={number_text(default)}" if isinstance(default, float) else f"{param}={default}"
        for param, default in _params(field, name).items()
    ]
    return f" ({', '.join(written)})" if written else ""
