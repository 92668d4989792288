"""A policy as two functions: its steps on single photos (in the loader) and on batches (on the device)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import UsageError
from common.image_size import Size
from trial.augment.geometric import GEOMETRIC
from trial.augment.per_image import PER_IMAGE
from trial.augment.photometric import PHOTOMETRIC, Change
from trial.augment.policies import STEPS, Policy
from trial.augment.warp import compose, to_float
from trial.choice import Choice
from trial.preprocessing import Preprocessing
from trial.rng import Draw, stream

# Photos are uint8 (B, height, width, 3) until a part makes them float (B, 3, height, width), 0 to 1.
Part = Callable[[Tensor, Draw], Tensor]
PhotoFunction = Callable[[np.ndarray, Draw], np.ndarray]
OnPhoto = Callable[[np.ndarray, int, int, int, int], np.ndarray]
TRIES = 4  # of each policy before training: some steps turn a photo on its side only now and then
PIECE = 2**22  # floats of a batch that stay in a CPU's cache from step to step


def batch_transform(policy: Policy, preprocessing: Preprocessing) -> Part:
    """`prepare(photos, draw)`: uint8 (B, height, width, 3) -> float (B, 3, height, width), augmented and
    normalised, on the photos' device.

    On a CPU all but the first geometric steps run on pieces of the batch, one piece after the other, which
    also orders their random numbers.
    """
    steps = policy.on("batch")
    parts = _parts(steps)
    # Geometric steps at the front read uint8, a quarter of the memory of floats: the whole batch, in threads.
    first = 1 if steps and steps[0].name in GEOMETRIC else 0

    def prepare(photos: Tensor, draw: Draw) -> Tensor:
        for part in parts[:first]:
            photos = part(photos, draw)
        if not parts[first:]:
            return preprocessing.normalise(photos)
        batch, height, width = len(draw), *draw.size
        done = torch.empty((batch, 3, height, width), device=photos.device, memory_format=torch.channels_last)
        at_once = batch if photos.device.type != "cpu" else max(1, PIECE // (height * width * 3))
        for start in range(0, batch, at_once):
            piece = slice(start, start + at_once)
            images = photos[piece]
            for part in parts[first:]:
                images = part(images, draw.of(piece))
            preprocessing.normalise(images, out=done[piece])
        return done

    return prepare


def photo_transform(policy: Policy, size: Size) -> OnPhoto | None:
    """`augment(photo, row, epoch, seed, before)`: uint8 (height, width, 3) -> the same; None if no step runs
    on photos.

    Deterministic given `row`, `epoch`, `seed` and `before`, the number of times that the epoch already had
    the row. UsageError if albumentations rejects a parameter, or a step changes a photo's size or type.
    """
    steps = policy.on("photo")
    if not steps:
        return None
    parts = _photo_functions(steps)

    def augment(photo: np.ndarray, row: int, epoch: int, seed: int, before: int = 0) -> np.ndarray:
        draw = Draw(stream("photo", seed, epoch, row, before), np.array([row]), epoch, size)
        for part in parts:
            photo = part(photo, draw)
        return photo

    _refuse(steps, size, str(policy))
    return augment


def _refuse(steps: Sequence[Choice], size: Size, policy: str) -> None:
    """UsageError if the steps, each with probability 1, fail or change a photo's size or type."""
    blank = np.zeros((*size, 3), np.uint8)
    try:
        parts, results = _photo_functions([_always(step) for step in steps]), []
        for attempt in range(TRIES):
            photo, draw = blank, Draw(stream("photo", 0, attempt, 0), np.array([0]), attempt, size)
            for part in parts:
                photo = part(photo, draw)
            results.append(photo)
    except UsageError:
        raise
    except Exception as error:  # albumentations' or OpenCV's own class, for a parameter that they can't use
        raise UsageError(f"augment={policy}: {' '.join(str(error).split())}") from None
    for photo in results:
        if photo.shape != blank.shape or photo.dtype != blank.dtype:
            raise UsageError(
                f"augment={policy} makes {photo.dtype} {photo.shape} of uint8 {blank.shape}; "
                "use steps that keep size and type"
            )


def _always(step: Choice) -> Choice:
    """The step with probability 1; one of STEPS without a probability (alternating_flip) as it is."""
    params = dict(step.params)
    if step.name not in STEPS or "p" in params:
        params["p"] = 1.0
    return replace(step, params=tuple(params.items()))


def _photo_functions(steps: Sequence[Choice]) -> list[PhotoFunction]:
    parts: list[PhotoFunction] = []
    for builder, group in groupby(steps, key=_builder):
        parts += builder(list(group))
    return parts


def _parts(steps: Sequence[Choice]) -> list[Part]:
    """One function for consecutive geometric steps, one for each photometric step, on floats."""
    parts: list[Part] = []
    for geometric, group in groupby(steps, key=lambda step: step.name in GEOMETRIC):
        run = list(group)
        parts += [compose(run)] if geometric else [_on_floats(step.build(PHOTOMETRIC)) for step in run]
    return parts


def _on_floats(change: Change) -> Part:
    return lambda images, draw: change(to_float(images), draw)


def copy_transform(steps: Sequence[Choice]) -> PhotoFunction:
    """`augment(photos, draw)` of some of STEPS: uint8 (B, height, width, 3) -> the same."""
    parts = _parts(steps)

    def augment(photos: np.ndarray, draw: Draw) -> np.ndarray:
        images = torch.from_numpy(photos)
        for part in parts:
            images = part(images, draw)
        if images.dtype != torch.uint8:
            images = (images * 255).round_().byte().permute(0, 2, 3, 1)
        return images.numpy()

    return augment


def _builder(step: Choice) -> Callable[[Sequence[Choice]], list[PhotoFunction]]:
    """What builds the functions on single photos of consecutive steps of this step's kind."""
    if step.name in STEPS:
        return _from_steps
    return _from_torchvision if step.name in PER_IMAGE else _from_albumentations


def _from_steps(steps: Sequence[Choice]) -> list[PhotoFunction]:
    augment = copy_transform(steps)
    return [lambda photo, draw: augment(photo[None], draw)[0]]


def _from_torchvision(steps: Sequence[Choice]) -> list[PhotoFunction]:
    return [step.build(PER_IMAGE) for step in steps]


def _from_albumentations(steps: Sequence[Choice]) -> list[PhotoFunction]:
    import albumentations

    def made(step: Choice) -> Any:
        try:
            return getattr(albumentations, step.name)(**dict(step.params))
        except (ValueError, TypeError) as error:
            raise UsageError(f"augment step {step.name}: {' '.join(str(error).split())}") from None

    compose = albumentations.Compose([made(step) for step in steps])

    def augment(photo: np.ndarray, draw: Draw) -> np.ndarray:
        # A seed for each step: Compose.set_random_seed would give the same one to all.
        for transform in compose.transforms:
            transform.set_random_seed(int(draw.random.integers(2**32)))
        return compose(image=photo)["image"]

    return [augment]
