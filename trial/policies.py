"""Augmentation policies: named, ordered lists of steps with their numbers, and where each runs.

A step is one of STEPS (ours: on whole batches, on the device), of PHOTO_STEPS, or any transform of
albumentations by its own name and with its own numbers (both photo by photo). Steps run in their order. Those
on photos come first, so one of ours before such a one runs photo by photo too; `on` in a step says where, and
can say it. A number of a named policy's step is its own to set, and to search:
`{"_name": "winners", "erasing.p": 0.3}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset.errors import unknown
from trial.catalogue import steps as albumentations_steps
from trial.choice import Choice, Registry, choose
from trial.photo_steps import PHOTO_STEPS
from trial.pixel_steps import PIXEL_STEPS
from trial.warps import WARPS

STEPS: Registry = {**WARPS, **PIXEL_STEPS}
ON = ("photo", "batch")

POLICIES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "light": [{"_name": "flip", "p": 0.5}, {"_name": "shift_scale"}, {"_name": "brightness_contrast"}],
    "seed": [{"_name": "flip", "p": 0.3}],  # of its final recipe
    "seed_strong": [  # what else it offered and tried
        {"_name": "flip", "p": 0.3},
        {"_name": "jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1},
        {"_name": "noise", "std": 0.05, "p": 0.5},
        {"_name": "perspective", "distortion": 0.3, "p": 0.2},
    ],
    "winners": [  # of the best public write-up; its vertical CutMix is mixing=cutmix_vertical
        {"_name": "flip", "p": 0.5},
        {"_name": "shift_scale", "shift": 0.05, "scale": 0.05},
        {"_name": "brightness_contrast"},
        {"_name": "erasing", "p": 0.5},
    ],
    "heavy": [
        {"_name": "alternating_flip"},
        {"_name": "affine", "degrees": 15.0, "shift": 0.08, "scale": 0.15},
        {"_name": "perspective", "distortion": 0.2, "p": 0.3},
        {"_name": "jitter", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.03},
        {"_name": "noise", "std": 0.04, "p": 0.3},
        {"_name": "erasing", "most": 0.25, "p": 0.5},
    ],
    "rand_augment": [{"_name": "flip", "p": 0.5}, {"_name": "rand_augment"}],
    "trivial_augment": [{"_name": "flip", "p": 0.5}, {"_name": "trivial_augment"}],
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
    """A policy's name (its steps' names, 'flip+erasing', for a list of one's own) and its steps in order: on
    photos, then batches."""

    name: str
    steps: tuple[Step, ...] = ()

    def on(self, place: str) -> tuple[Choice, ...]:
        return tuple(step.choice for step in self.steps if step.on == place)

    def to_json(self) -> dict[str, Any]:
        return {"_name": self.name, "steps": [step.to_json() for step in self.steps]}

    def __str__(self) -> str:
        return self.name


def parse_policy(value: Any, faults: list[str]) -> Policy | None:
    """A policy's name, a list of steps, or what `Policy.to_json` gave, perhaps with numbers of its steps, as
    STEP.NUMBER; faults are added."""
    name: Any = value
    steps = None
    numbers: dict[str, Any] = {}
    if isinstance(value, Policy):
        return value
    if isinstance(value, Mapping):
        name, steps = value.get("_name"), value.get("steps")
        if steps is not None and name == "custom":  # what every list was called in earlier runs
            name = None
        numbers = {key: number for key, number in value.items() if key not in ("_name", "steps")}
    elif isinstance(value, list | tuple):
        name, steps = None, value
    if steps is None:
        if not isinstance(name, str) or name not in POLICIES:
            faults.append(unknown("augment policy", name, POLICIES))
            return None
        steps = POLICIES[name]
    if not isinstance(steps, list | tuple):
        faults.append(f"augment: steps must be a list of steps, not {steps!r}")
        return None
    steps = _with_numbers(steps, numbers, faults)
    read = [found for step in steps if (found := _step(step, faults))]
    return Policy(name or name_of([choice.name for choice, _ in read]), _placed(read, faults))


def name_of(steps: list[str]) -> str:
    """A list's name; not one that stands for another policy: `[rand_augment]` has no flip."""
    name = "+".join(steps) or "none"
    return f"[{name}]" if steps and name in POLICIES else name


def _with_numbers(steps: Sequence[Any], numbers: Mapping[str, Any], faults: list[str]) -> list[Any]:
    """`steps` with `numbers`, each named STEP.NUMBER, set in all of that name."""
    steps = [{"_name": step} if isinstance(step, str) else step for step in steps]
    names = [str(step.get("_name")) if isinstance(step, Mapping) else "" for step in steps]
    own: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in numbers.items():
        name, _, number = key.partition(".")
        if name and number and name in own:
            own[name][number] = value
        else:
            known = [f"{known}.NUMBER" for known in own if known] + ["steps"]
            faults.append("augment: " + unknown("key", key, known))
    return [{**step, **own[name]} if own[name] else step for step, name in zip(steps, names, strict=True)]


def _placed(steps: list[tuple[Choice, str | None]], faults: list[str]) -> tuple[Step, ...]:
    """Each step with its place: on photos up to the last one that can't be elsewhere."""
    placed: list[Step] = []
    later = None  # the nearest later step that runs photo by photo
    for choice, said in reversed(steps):
        ours = choice.name in STEPS
        if said == "batch" and not ours:
            faults.append(f"augment: {choice.name} runs photo by photo, not on batches: on='photo'")
        elif said == "batch" and later:
            faults.append(f"augment: {choice.name} on batches can't come before {later} on photos")
        if said == "photo" or not ours or later:
            later = choice.name
        placed.append(Step(choice, "photo" if later else "batch"))
    return tuple(reversed(placed))


def _step(value: Any, faults: list[str]) -> tuple[Choice, str | None] | None:
    """(the step, where its writer wants it); None where it can't be read."""
    if not isinstance(value, str | Mapping):
        faults.append(f'augment: {value!r} is no step; a step is a name or {{"_name": "flip", "p": 0.5}}')
        return None
    given = {"_name": value} if isinstance(value, str) else dict(value)
    name, said = given.get("_name"), given.pop("on", None)
    if said not in (None, *ON):
        faults.append(f"augment step {name}: on={said!r} is neither 'photo' nor 'batch'")
        return None
    choice = _choice(name, given, faults)
    return None if choice is None else (choice, said)


def _choice(name: Any, given: dict[str, Any], faults: list[str]) -> Choice | None:
    known = albumentations_steps()
    if not isinstance(name, str):
        faults.append(f"augment: {name!r} is no step's name")
        return None
    if ranges := [key for key, number in given.items() if isinstance(number, Mapping) and "_type" in number]:
        searched = f'{{"_name": ..., "{name}.{ranges[0]}": {given[ranges[0]]}}}'
        faults.append(f"augment: NNI draws nothing inside a list; search a named policy's number: {searched}")
        return None
    p = given.get("p", 0.5)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        faults.append(f"augment: step {name}: p={p!r} is no probability (0 to 1)")
        return None
    if name in STEPS:
        choice = choose("augment step", given, STEPS, faults)
        number = dict(choice.numbers) if choice else {}
        if name == "erasing" and number.get("least", 0) > number.get("most", 1):
            few, many = number["least"], number["most"]
            faults.append(f"augment: erasing: least={few:g} must not be above most={many:g}")
        return choice
    if name in PHOTO_STEPS:
        return choose("augment step", given, PHOTO_STEPS, faults)
    if name not in known:
        faults.append(unknown("augment step", name, [*STEPS, *PHOTO_STEPS, *known]))
        return None
    numbers = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "_name"}
    faults += [
        f"augment step {name}: " + unknown("number", k, known[name]) for k in numbers.keys() - known[name]
    ]
    needed = {k for k, default in known[name].items() if default == "required"} - numbers.keys()
    faults += [f"augment step {name}: needs {k}" for k in sorted(needed)]
    return Choice(name, tuple(numbers.items()))
