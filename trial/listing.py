"""What there is to choose from: `python -m trial --list`."""

import json
from collections.abc import Callable
from typing import Any, get_args

from dataset.numbers import number_text
from trial.catalogue import networks, steps
from trial.choice import numbers_of
from trial.config import CHOICES, FIELDS, TrialConfig
from trial.photo_steps import PHOTO_STEPS
from trial.policies import POLICIES, STEPS

NUMBERED = {**CHOICES, "step": {**STEPS, **PHOTO_STEPS}}


def choices() -> dict[str, list[str]]:
    """{field: names} of everything that has a name."""
    return {
        "model": list(networks()),
        "weights": ["hub", "package", "none", "PATH"],
        **{name: list(registry) for name, registry in CHOICES.items()},
        "augment": list(POLICIES),
        "step": [*STEPS, *PHOTO_STEPS, *steps()],
        **{name: list(get_args(FIELDS[name].type)) for name in ("precision", "patience_on", "fold_order")},
    }


def show(as_json: bool) -> None:
    """Prints them, for people or as one line of JSON."""
    if as_json:
        print(json.dumps(choices()))
        return
    named = choices()
    for field, names in named.items():
        shown = names if len(names) <= 150 else [*names[:30], f"... {len(names)} in all (--json)"]
        words = [name + _numbers(NUMBERED.get(field, {}).get(name)) for name in shown]
        print(f"{field}\n  {', '.join(words)}")
    plain = [f"{name}={value}" for name, value in TrialConfig().to_json().items() if name not in named]
    print(f"others, with their defaults\n  {', '.join(plain)}")


def _numbers(builder: Callable[..., Any] | None) -> str:
    """' (gamma=2)' of a choice that has numbers."""
    numbers = numbers_of(builder) if builder else {}
    written = [
        f"{number}={number_text(default)}" if isinstance(default, float) else f"{number}={default}"
        for number, (_, default) in numbers.items()
    ]
    return f" ({', '.join(written)})" if written else ""
