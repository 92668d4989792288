"""Augmentation policies: named, ordered lists of steps with their parameters, and where each step runs.

A step is one of STEPS (this project's, on whole batches, on the device), one of PER_IMAGE, or any transform
of albumentations under its own name and with its own parameters; the latter two run photo by photo. Steps run
in order, and all that run photo by photo come before those on batches: so one of STEPS before such a step
runs photo by photo too. `on` ("photo" or "batch") in a step requests a place. A parameter of a step of a
named policy can be set, and searched: `{"_name": "winners", "random_erasing.p": 0.3}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import unknown
from trial.aliases import current_name, current_params, current_policy
from trial.augment.geometric import GEOMETRIC
from trial.augment.per_image import PER_IMAGE
from trial.augment.photometric import PHOTOMETRIC
from trial.catalogue import steps as albumentations_steps
from trial.choice import Choice, Registry, choose

STEPS: Registry = {**GEOMETRIC, **PHOTOMETRIC}
ON = ("photo", "batch")

POLICIES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "light": [{"_name": "flip", "p": 0.5}, {"_name": "shift_scale"}, {"_name": "brightness_contrast"}],
    "baseline": [{"_name": "flip", "p": 0.3}],  # of the baseline's final recipe
    "baseline_strong": [  # what else the baseline offered and tried
        {"_name": "flip", "p": 0.3},
        {"_name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1},
        {"_name": "noise", "std": 0.05, "p": 0.5},
        {"_name": "perspective", "distortion": 0.3, "p": 0.2},
    ],
    "winners": [  # of the competition's best public write-up; its vertical CutMix is mixing=cutmix_vertical
        {"_name": "flip", "p": 0.5},
        {"_name": "shift_scale", "shift": 0.05, "scale": 0.05},
        {"_name": "brightness_contrast"},
        {"_name": "random_erasing", "p": 0.5},
    ],
    "heavy": [
        {"_name": "alternating_flip"},
        {"_name": "affine", "degrees": 15.0, "shift": 0.08, "scale": 0.15},
        {"_name": "perspective", "distortion": 0.2, "p": 0.3},
        {"_name": "color_jitter", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.03},
        {"_name": "noise", "std": 0.04, "p": 0.3},
        {"_name": "random_erasing", "max_area": 0.25, "p": 0.5},
    ],
    "rand_augment": [{"_name": "flip", "p": 0.5}, {"_name": "rand_augment"}],
    "trivial_augment": [{"_name": "flip", "p": 0.5}, {"_name": "trivial_augment"}],
}
DESCRIPTIONS = {  # a line for each policy
    "none": "No augmentation.",
    "light": "Flips, small shifts and scales, brightness and contrast.",
    "baseline": "Flips: the baseline's final recipe.",
    "baseline_strong": "Flips, color jitter, noise and perspective: what else the baseline offered.",
    "winners": "Flips, small shifts and scales, brightness and contrast, random erasing (best write-up).",
    "heavy": "Flips, affine maps and perspective, strong color jitter, noise, random erasing.",
    "rand_augment": "Flips and RandAugment (Cubuk et al. 2019, arXiv:1909.13719).",
    "trivial_augment": "Flips and TrivialAugment (Mueller and Hutter 2021, arXiv:2103.10158).",
}


@dataclass(frozen=True)
class Step:
    """A step and where it runs: `on` is 'photo' (one by one, in the loader's workers if there are any) or
    'batch' (on the device)."""

    choice: Choice
    on: str

    def to_json(self) -> dict[str, Any]:
        """The step and its place as JSON values."""
        return {**self.choice.to_json(), "on": self.on}


@dataclass(frozen=True)
class Policy:
    """A policy's name and its steps in order, those on photos before those on batches.

    A list of steps that is not one of POLICIES is named after its steps: 'flip+random_erasing'.
    """

    name: str
    steps: tuple[Step, ...] = ()

    def on(self, place: str) -> tuple[Choice, ...]:
        """The steps that run on `place`: 'photo' or 'batch'."""
        return tuple(step.choice for step in self.steps if step.on == place)

    def to_json(self) -> dict[str, Any]:
        """Name and steps as JSON values; `parse_policy` reads them back."""
        return {"_name": self.name, "steps": [step.to_json() for step in self.steps]}

    def __str__(self) -> str:
        return self.name


def parse_policy(value: Any, errors: list[str]) -> Policy | None:
    """The policy of a name, a list of steps, or a mapping as `Policy.to_json` returns it.

    A mapping may set parameters of its steps, as STEP.PARAMETER. Messages about mistakes are added to
    `errors`; None if no policy can be made of `value`.
    """
    name: Any = value
    steps = None
    params: dict[str, Any] = {}
    if isinstance(value, Policy):
        return value
    if isinstance(value, Mapping):
        name, steps = value.get("_name"), value.get("steps")
        if steps is not None and name == "custom":  # how earlier versions named every list
            name = None
        params = {key: param for key, param in value.items() if key not in ("_name", "steps")}
    elif isinstance(value, list | tuple):
        name, steps = None, value
    name = current_policy(name)
    if name is None and steps is None and params:
        errors += [
            f"augment.{key}: is of a step of which policy? give it too, such as augment=light"
            for key in params
        ]
        return None
    if steps is None:
        if not isinstance(name, str) or name not in POLICIES:
            errors.append(unknown("augment policy", name, POLICIES))
            return None
        steps = POLICIES[name]
    if not isinstance(steps, list | tuple):
        errors.append(f"augment: steps must be a list of steps, not {steps!r}")
        return None
    steps = _with_params(steps, params, errors)
    parsed = [found for step in steps if (found := _step(step, errors))]
    return Policy(name or name_of([choice.name for choice, _ in parsed]), _placed(parsed, errors))


def name_of(steps: list[str]) -> str:
    """The name of a list of steps; in brackets if a policy has that name: `[rand_augment]` has no flip."""
    name = "+".join(steps) or "none"
    return f"[{name}]" if steps and name in POLICIES else name


def _with_params(steps: Sequence[Any], params: Mapping[str, Any], errors: list[str]) -> list[Any]:
    """`steps` with each of `params`, whose keys are STEP.PARAMETER, set in all steps of that name."""
    steps = [{"_name": step} if isinstance(step, str) else step for step in steps]
    names = [
        current_name("augment step", str(step.get("_name"))) if isinstance(step, Mapping) else ""
        for step in steps
    ]
    own: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in params.items():
        step, _, param = key.partition(".")
        name = current_name("augment step", step)
        if name and param and name in own:
            (param,) = current_params(name, {param: value})
            if param in own[name]:
                errors.append(f"augment: {name}.{param} is given twice, by an earlier name too")
            own[name][param] = value
        else:
            known = [f"{known}.PARAMETER" for known in own if known] + ["steps"]
            errors.append("augment: " + unknown("key", key, known))
    return [{**step, **own[name]} if own[name] else step for step, name in zip(steps, names, strict=True)]


def _placed(steps: list[tuple[Choice, str | None]], errors: list[str]) -> tuple[Step, ...]:
    """Each step with its place: on photos up to the last step that must run there, then on batches."""
    placed: list[Step] = []
    later = None  # the nearest later step that runs photo by photo
    for choice, wanted in reversed(steps):
        ours = choice.name in STEPS
        if wanted == "batch" and not ours:
            errors.append(f"augment: {choice.name} runs photo by photo, not on batches; use on='photo'")
        elif wanted == "batch" and later:
            errors.append(f"augment: {choice.name} on batches can't come before {later} on photos")
        if wanted == "photo" or not ours or later:
            later = choice.name
        placed.append(Step(choice, "photo" if later else "batch"))
    return tuple(reversed(placed))


def _step(value: Any, errors: list[str]) -> tuple[Choice, str | None] | None:
    """(the step, the place that it requests); None if it has a mistake."""
    if not isinstance(value, str | Mapping):
        errors.append(f'augment: {value!r} is not a step; a step is a name or {{"_name": "flip", "p": 0.5}}')
        return None
    given = {"_name": value} if isinstance(value, str) else dict(value)
    name, wanted = given.get("_name"), given.pop("on", None)
    if wanted not in (None, *ON):
        errors.append(f"augment step {name}: on={wanted!r} is neither 'photo' nor 'batch'")
        return None
    choice = _choice(name, given, errors)
    return None if choice is None else (choice, wanted)


def _choice(name: Any, given: dict[str, Any], errors: list[str]) -> Choice | None:
    known = albumentations_steps()
    name = current_name("augment step", name)
    if not isinstance(name, str):
        errors.append(f"augment: {name!r} is not the name of a step")
        return None
    if ranges := [key for key, param in given.items() if isinstance(param, Mapping) and "_type" in param]:
        searched = f'{{"_name": ..., "{name}.{ranges[0]}": {given[ranges[0]]}}}'
        errors.append(
            f"augment: NNI draws nothing inside a list; search a parameter of a named policy: {searched}"
        )
        return None
    p = given.get("p", 0.5)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        errors.append(f"augment: step {name}: p={p!r} is not a probability (0 to 1)")
        return None
    if name in STEPS:
        choice = choose("augment step", given, STEPS, errors)
        params = dict(choice.params) if choice else {}
        if name == "random_erasing" and params.get("min_area", 0) > params.get("max_area", 1):
            low, high = params["min_area"], params["max_area"]
            errors.append(f"augment: random_erasing: min_area={low:g} must not be above max_area={high:g}")
        return choice
    if name in PER_IMAGE:
        return choose("augment step", given, PER_IMAGE, errors)
    if name not in known:
        errors.append(unknown("augment step", name, [*STEPS, *PER_IMAGE, *known]))
        return None
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "_name"}
    errors += [
        f"augment step {name}: " + unknown("parameter", k, known[name]) for k in params.keys() - known[name]
    ]
    needed = {k for k, default in known[name].items() if default == "required"} - params.keys()
    errors += [f"augment step {name}: needs a value for {k}" for k in sorted(needed)]
    return Choice(name, tuple(params.items()))
