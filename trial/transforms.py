"""From a photo to what a network sees: `Preprocessing` (always the same) and augmentation policies.

A policy is an ordered list of named steps with their numbers. A step is one of STEPS, or any transform of
albumentations by its own name and with its own numbers; each works on one photo, uint8 height x width x 3.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dataset.errors import CallersMistake
from trial.catalogue import steps as albumentations_steps
from trial.choice import Choice, choose, unknown
from trial.optim import Share

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Preprocessing:
    """How a photo is prepared, at training, validation and prediction alike; kept in the run folder.

    Resized to `image_size` (height, width), then per channel (value / 255 - mean) / std.
    """

    image_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Preprocessing":
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in read.items()})

    def normalise(self, photos: "Tensor") -> "Tensor":
        """uint8 (B, height, width, 3) -> float32 (B, 3, height, width) on the same device, channels_last."""
        import torch

        mean = torch.tensor(self.mean, device=photos.device) * 255
        std = torch.tensor(self.std, device=photos.device) * 255
        return photos.float().sub_(mean).div_(std).permute(0, 3, 1, 2)


def flip(*, p: Share = 0.5) -> Any:
    """Left and right exchanged."""
    import albumentations

    return albumentations.HorizontalFlip(p=p)


def shift_scale(*, shift: Share = 0.08, scale: Share = 0.08, p: Share = 1.0) -> Any:
    """Moved by up to `shift` of each side and scaled by 1 +- `scale`; the edge is continued."""
    import albumentations
    import cv2

    return albumentations.Affine(
        translate_percent=(-shift, shift),
        scale=(1 - scale, 1 + scale),
        border_mode=cv2.BORDER_REPLICATE,
        p=p,
    )


def brightness_contrast(*, brightness: Share = 0.2, contrast: Share = 0.2, p: Share = 1.0) -> Any:
    """Brightness and contrast changed by up to these shares."""
    import albumentations

    return albumentations.RandomBrightnessContrast(brightness, contrast, p=p)


STEPS = {"flip": flip, "shift_scale": shift_scale, "brightness_contrast": brightness_contrast}

POLICIES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "light": [{"_name": "flip", "p": 0.5}, {"_name": "shift_scale"}, {"_name": "brightness_contrast"}],
    "seed": [{"_name": "flip", "p": 0.3}],
}


@dataclass(frozen=True)
class Policy:
    """A policy's name ('custom' for a list of one's own) and its steps, in order."""

    name: str
    steps: tuple[Choice, ...]

    def to_json(self) -> dict[str, Any]:
        return {"_name": self.name, "steps": [step.to_json() for step in self.steps]}

    def __str__(self) -> str:
        return self.name

    def build(self, image_size: tuple[int, int]) -> Callable[["np.ndarray", int], "np.ndarray"] | None:
        """`augment(photo, seed) -> photo`, the same for the same seed; None where there is nothing to do.

        CallersMistake where albumentations refuses a number, or a step changes a photo's size or type.
        """
        if not self.steps:
            return None
        import albumentations
        import numpy as np

        compose = albumentations.Compose([_make(step) for step in self.steps])

        def augment(photo: "np.ndarray", seed: int) -> "np.ndarray":
            compose.set_random_seed(seed)
            return compose(image=photo)["image"]

        blank = np.zeros((*image_size, 3), np.uint8)
        after = augment(blank, 0)
        if after.shape != blank.shape or after.dtype != blank.dtype:
            raise CallersMistake(
                f"augment={self.name} makes {after.dtype} {after.shape} of uint8 {blank.shape}"
            )
        return augment


def _make(step: Choice) -> Any:
    import albumentations

    if step.name in STEPS:
        return step.build(STEPS)
    try:
        return getattr(albumentations, step.name)(**dict(step.numbers))
    except (ValueError, TypeError) as error:
        raise CallersMistake(f"augment step {step.name}: {' '.join(str(error).split())}") from None


def parse_policy(value: Any, faults: list[str]) -> Policy | None:
    """A policy's name, a list of steps, or what `Policy.to_json` gave, as a Policy; faults are added."""
    name, steps = value, None
    if isinstance(value, Policy):
        return value
    if isinstance(value, Mapping):
        name, steps = value.get("_name", "custom"), value.get("steps")
        faults += ["augment: " + unknown("key", k, ("steps",)) for k in value if k not in ("_name", "steps")]
    elif isinstance(value, list | tuple):
        name, steps = "custom", value
    if steps is None:
        if not isinstance(name, str) or name not in POLICIES:
            faults.append(unknown("augment policy", name, POLICIES))
            return None
        steps = POLICIES[name]
    if not isinstance(steps, list | tuple):
        faults.append(f"augment: steps must be a list of steps, not {steps!r}")
        return None
    chosen = [_step(step, faults) for step in steps]
    return Policy(name, tuple(step for step in chosen if step is not None))


def _step(value: Any, faults: list[str]) -> Choice | None:
    if not isinstance(value, str | Mapping):
        faults.append(f'augment: {value!r} is no step; a step is a name or {{"_name": "flip", "p": 0.5}}')
        return None
    given = {"_name": value} if isinstance(value, str) else dict(value)
    p = given.get("p", 0.5)
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        faults.append(f"augment: step {given.get('_name')}: p={p!r} is no probability (0 to 1)")
    known = albumentations_steps()
    name = given.get("_name")
    if not isinstance(name, str) or name not in known:
        return choose("augment step", given, {**STEPS, **dict.fromkeys(known)}, faults)
    numbers = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "_name"}
    faults += [
        f"augment step {name}: " + unknown("number", k, known[name]) for k in numbers.keys() - known[name]
    ]
    needed = {k for k, default in known[name].items() if default == "required"} - numbers.keys()
    faults += [f"augment step {name}: needs {k}" for k in sorted(needed)]
    return Choice(name, tuple(numbers.items()))
