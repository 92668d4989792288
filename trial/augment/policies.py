"""Augmentation policies: named, ordered lists of steps with their parameters, and where each runs.

A step is one of STEPS (ours: on whole batches, on the device), of PHOTO_STEPS, or any transform of
albumentations by its own name and with its own parameters (both photo by photo). Steps run in their order. Those
on photos come first, so one of ours before such a one runs photo by photo too; `on` in a step says where, and
can say it. A parameter of a step of a named policy can be set,
and searched: `{"_name": "winners", "random_erasing.p": 0.3}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import unknown
from trial.aliases import current_name, current_policy
from trial.augment.geometric import WARPS
from trial.augment.per_image import PHOTO_STEPS
from trial.augment.photometric import PIXEL_STEPS
from trial.catalogue import steps as albumentations_steps
from trial.choice import Choice, Registry, choose

STEPS: Registry = {**WARPS, **PIXEL_STEPS}
ON = ("photo", "batch")

POLICIES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "light": [{"_name": "flip", "p": 0.5}, {"_name": "shift_scale"}, {"_name": "brightness_contrast"}],
    "baseline": [{"_name": "flip", "p": 0.3}],  # of its final recipe
    "baseline_strong": [  # what else it offered and tried
        {"_name": "flip", "p": 0.3},
        {"_name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1},
        {"_name": "noise", "std": 0.05, "p": 0.5},
        {"_name": "perspective", "distortion": 0.3, "p": 0.2},
    ],
    "winners": [  # of the best public write-up; its vertical CutMix is mixing=cutmix_vertical
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
    "winners": "Flips, small shifts and scales, brightness and contrast, random erasing: the best write-up's.",
    "heavy": "Flips, affine maps and perspective, strong color jitter, noise, random erasing.",
    "rand_augment": "Flips and RandAugment (Cubuk et al. 2019, arXiv:1909.13719).",
    "trivial_augment": "Flips and TrivialAugment (Mueller and Hutter 2021, arXiv:2103.10158).",
}


@dataclass(frozen=True)
class Step:
    """`on`: 'photo' (one by one, in the loader's workers where there are any) or 'batch' (on the device)."""

    choice: Choice
    on: str

    def to_json(self) -> dict[str, Any]:
        return {**self.choice.to_json(), "on": self.on}


@dataclass(frozen=True)
class Policy:
    """A policy's name (its steps' names, 'flip+random_erasing', for a list of one's own) and its steps in order: on
    photos, then batches."""

    name: str
    steps: tuple[Step, ...] = ()

    def on(self, place: str) -> tuple[Choice, ...]:
        return tuple(step.choice for step in self.steps if step.on == place)

    def to_json(self) -> dict[str, Any]:
        return {"_name": self.name, "steps": [step.to_json() for step in self.steps]}

    def __str__(self) -> str:
        return self.name


def parse_policy(value: Any, errors: list[str]) -> Policy | None:
    """A policy's name, a list of steps, or what `Policy.to_json` gave, perhaps with parameters of its steps, as
    STEP.PARAMETER; errors are added."""
    name: Any = value
    steps = None
    params: dict[str, Any] = {}
    if isinstance(value, Policy):
        return value
    if isinstance(value, Mapping):
        name, steps = value.get("_name"), value.get("steps")
        if steps is not None and name == "custom":  # what every list was called in earlier runs
            name = None
        params = {key: param for key, param in value.items() if key not in ("_name", "steps")}
    elif isinstance(value, list | tuple):
        name, steps = None, value
    name = current_policy(name)
    if steps is None:
        if not isinstance(name, str) or name not in POLICIES:
            errors.append(unknown("augment policy", name, POLICIES))
            return None
        steps = POLICIES[name]
    if not isinstance(steps, list | tuple):
        errors.append(f"augment: steps must be a list of steps, not {steps!r}")
        return None
    steps = _with_params(steps, params, errors)
    read = [found for step in steps if (found := _step(step, errors))]
    return Policy(name or name_of([choice.name for choice, _ in read]), _placed(read, errors))


def name_of(steps: list[str]) -> str:
    """A list's name; not one that stands for another policy: `[rand_augment]` has no flip."""
    name = "+".join(steps) or "none"
    return f"[{name}]" if steps and name in POLICIES else name


def _with_params(steps: Sequence[Any], params: Mapping[str, Any], errors: list[str]) -> list[Any]:
    """`steps` with `params`, each named STEP.PARAMETER, set in all steps of that name."""
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
            own[name][param] = value
        else:
            known = [f"{known}.PARAMETER" for known in own if known] + ["steps"]
            errors.append("augment: " + unknown("key", key, known))
    return [{**step, **own[name]} if own[name] else step for step, name in zip(steps, names, strict=True)]


def _placed(steps: list[tuple[Choice, str | None]], errors: list[str]) -> tuple[Step, ...]:
    """Each step with its place: on photos up to the last one that can't be elsewhere."""
    placed: list[Step] = []
    later = None  # the nearest later step that runs photo by photo
    for choice, said in reversed(steps):
        ours = choice.name in STEPS
        if said == "batch" and not ours:
            errors.append(f"augment: {choice.name} runs photo by photo, not on batches: on='photo'")
        elif said == "batch" and later:
            errors.append(f"augment: {choice.name} on batches can't come before {later} on photos")
        if said == "photo" or not ours or later:
            later = choice.name
        placed.append(Step(choice, "photo" if later else "batch"))
    return tuple(reversed(placed))


def _step(value: Any, errors: list[str]) -> tuple[Choice, str | None] | None:
    """(the step, where its writer wants it); None where it can't be read."""
    if not isinstance(value, str | Mapping):
        errors.append(f'augment: {value!r} is no step; a step is a name or {{"_name": "flip", "p": 0.5}}')
        return None
    given = {"_name": value} if isinstance(value, str) else dict(value)
    name, said = given.get("_name"), given.pop("on", None)
    if said not in (None, *ON):
        errors.append(f"augment step {name}: on={said!r} is neither 'photo' nor 'batch'")
        return None
    choice = _choice(name, given, errors)
    return None if choice is None else (choice, said)


def _choice(name: Any, given: dict[str, Any], errors: list[str]) -> Choice | None:
    known = albumentations_steps()
    name = current_name("augment step", name)
    if not isinstance(name, str):
        errors.append(f"augment: {name!r} is no step's name")
        return None
    if ranges := [key for key, param in given.items() if isinstance(param, Mapping) and "_type" in param]:
        searched = f'{{"_name": ..., "{name}.{ranges[0]}": {given[ranges[0]]}}}'
        errors.append(
            f"augment: NNI draws nothing inside a list; search a parameter of a named policy: {searched}"
        )
        return None
    p = given.get("p", 0.5)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        errors.append(f"augment: step {name}: p={p!r} is no probability (0 to 1)")
        return None
    if name in STEPS:
        choice = choose("augment step", given, STEPS, errors)
        params = dict(choice.params) if choice else {}
        if name == "random_erasing" and params.get("min_area", 0) > params.get("max_area", 1):
            low, high = params["min_area"], params["max_area"]
            errors.append(f"augment: random_erasing: min_area={low:g} must not be above max_area={high:g}")
        return choice
    if name in PHOTO_STEPS:
        return choose("augment step", given, PHOTO_STEPS, errors)
    if name not in known:
        errors.append(unknown("augment step", name, [*STEPS, *PHOTO_STEPS, *known]))
        return None
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "_name"}
    errors += [
        f"augment step {name}: " + unknown("parameter", k, known[name]) for k in params.keys() - known[name]
    ]
    needed = {k for k, default in known[name].items() if default == "required"} - params.keys()
    errors += [f"augment step {name}: needs {k}" for k in sorted(needed)]
    return Choice(name, tuple(params.items()))
