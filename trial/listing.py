"""What there is to choose from: `python -m trial --list`."""

import json
from typing import get_args

from trial.catalogue import networks, steps
from trial.config import CHOICES, FIELDS
from trial.photo_steps import PHOTO_STEPS
from trial.policies import POLICIES, STEPS


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
    for field, names in choices().items():
        shown = names if len(names) <= 150 else [*names[:30], f"... {len(names)} in all (--json)"]
        print(f"{field}\n  {', '.join(shown)}")
