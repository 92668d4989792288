"""A recipe as one row of a table."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from common.image_size import size_text
from trial.augment.per_image import PER_IMAGE
from trial.augment.policies import POLICIES, STEPS, Policy, name_of, parse_policy
from trial.choice import Choice, default_choice
from trial.config import TrialConfig

OURS = {**STEPS, **PER_IMAGE}


def flat(config: TrialConfig) -> dict[str, Any]:
    """The recipe as one level of {name: plain value}: `loss`, `loss.gamma`; `augment` and, if a policy
    differs from the shipped one, `augment.random_erasing.p`."""
    row: dict[str, Any] = {}
    for name in config.recipe():
        value = getattr(config, name)
        if isinstance(value, Choice):
            row[name] = value.name
            row |= {f"{name}.{param}": given for param, given in value.params}
        elif isinstance(value, Policy):
            row[name] = _policy_name(value)
            row |= {f"{name}.{param}": given for param, given in _changed(value).items()}
        else:
            row[name] = size_text(value) if name == "image_size" else value
    return row


def flat_alike(configs: Sequence[TrialConfig]) -> list[dict[str, Any]]:
    """`flat` of each; a policy's parameter that one of them changes is listed for all that have it."""
    rows = [flat(config) for config in configs]
    changed = {key for row in rows for key in row if key.startswith("augment.")}
    for row, config in zip(rows, configs, strict=True):
        for param, value in _params(_steps(config.augment)).items():
            if f"augment.{param}" in changed:
                row[f"augment.{param}"] = value
    return rows


def _steps(policy: Policy) -> list[Choice]:
    return [step.choice for step in policy.steps]


def _policy_name(policy: Policy) -> str:
    """Its name; a shipped policy's name only if it has that policy's steps."""
    names = [step.name for step in _steps(policy)]
    foreign = policy.name in POLICIES and names != [step.name for step in _shipped(policy.name)]
    return name_of(names) if foreign else policy.name


def _changed(policy: Policy) -> dict[str, Any]:
    """{STEP.PARAMETER: value} in which a policy differs from the shipped one of its name or, if it has a name
    of its own, from its steps' defaults."""
    steps, name = _steps(policy), _policy_name(policy)
    usual = _shipped(name) if name in POLICIES else [_default(step.name) for step in steps]
    before = _params(usual)
    return {k: v for k, v in _params(steps).items() if k not in before or before[k] != v}


def _params(steps: Sequence[Choice]) -> dict[str, Any]:
    """{STEP.PARAMETER: value}; a second step of the same name is called NAME#2."""
    found: dict[str, Any] = {}
    for place, step in enumerate(steps):
        nth = sum(other.name == step.name for other in steps[:place])
        label = step.name + (f"#{nth + 1}" if nth else "")
        for param, value in step.params:
            found[f"{label}.{param}"] = str(value) if isinstance(value, tuple) else value
    return found


@cache
def _shipped(name: str) -> list[Choice]:
    policy = parse_policy(name, [])
    assert policy is not None
    return _steps(policy)


def _default(name: str) -> Choice:
    """A step with its default parameters; those of albumentations' steps are not known here."""
    return default_choice(OURS, name) if name in OURS else Choice(name)
