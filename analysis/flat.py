"""A recipe as one row of a table."""

from functools import cache
from typing import Any

from dataset.image_size import size_text
from trial.choice import Choice, plain
from trial.config import TrialConfig
from trial.photo_steps import PHOTO_STEPS
from trial.policies import POLICIES, STEPS, Policy, name_of, parse_policy

OURS = {**STEPS, **PHOTO_STEPS}


def flat(config: TrialConfig) -> dict[str, Any]:
    """One level of names and plain values: `loss` and `loss.gamma`; `augment` and, where a policy is not
    as shipped, `augment.erasing.p`."""
    row: dict[str, Any] = {}
    for name in config.recipe():
        value = getattr(config, name)
        if isinstance(value, Choice):
            row[name] = value.name
            row |= {f"{name}.{number}": given for number, given in value.numbers}
        elif isinstance(value, Policy):
            row[name], numbers = policy_told(value)
            row |= {f"{name}.{number}": given for number, given in numbers.items()}
        else:
            row[name] = size_text(value) if name == "image_size" else value
    return row


def policy_told(policy: Policy) -> tuple[str, dict[str, Any]]:
    """(name, {STEP.NUMBER: value}) of a policy: those that differ from the shipped one of its name or, in a
    list of one's own, from its steps' defaults."""
    steps = [step.choice for step in policy.steps]
    names = [step.name for step in steps]
    shipped = _shipped(policy.name) if policy.name in POLICIES else None
    if shipped is not None and names == [step.name for step in shipped]:
        name, usual = policy.name, shipped
    else:
        name = policy.name if shipped is None else name_of(names)
        usual = [plain(OURS, step) if step in OURS else Choice(step) for step in names]
    numbers: dict[str, Any] = {}
    for place, (step, before) in enumerate(zip(steps, usual, strict=True)):
        nth = names[:place].count(step.name)
        label = step.name + (f"#{nth + 1}" if nth else "")
        same = dict(before.numbers)
        for number, value in step.numbers:
            if number not in same or same[number] != value:
                numbers[f"{label}.{number}"] = str(value) if isinstance(value, tuple) else value
    return name, numbers


@cache
def _shipped(name: str) -> list[Choice]:
    policy = parse_policy(name, [])
    assert policy is not None
    return [step.choice for step in policy.steps]
