"""A policy at work: its steps on photos one by one, then on whole batches on the device."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import UsageError
from trial.augment.geometric import WARPS
from trial.augment.per_image import PHOTO_STEPS
from trial.augment.photometric import PIXEL_STEPS, Change
from trial.augment.policies import STEPS, Policy
from trial.augment.warp import floats, joined
from trial.choice import Choice
from trial.data.preprocessing import Preprocessing
from trial.rng import Draw, stream

# Photos are uint8 (B, height, width, 3) until a part makes them float (B, 3, height, width) from 0 to 1.
Part = Callable[[Tensor, Draw], Tensor]
OnOne = Callable[[np.ndarray, Draw], np.ndarray]
OnPhoto = Callable[[np.ndarray, int, int, int, int], np.ndarray]
LOOKS = 4  # at each step beforehand: some turn a photo on its side only now and then
CACHED = 2**22  # floats that a processor keeps near while the steps go over them one after the other


def on_batches(policy: Policy, preprocessing: Preprocessing) -> Part:
    """`prepare(photos, draw)`: uint8 (B, height, width, 3) -> float (B, 3, height, width), augmented and
    normalised, where the photos are. On a CPU colours are changed in pieces of the batch, each drawing after
    the one before."""
    steps = policy.on("batch")
    parts = _parts(steps)
    # A warp at the front sees whole numbers, a third of the memory of floats: all at once, in threads.
    first = 1 if steps and steps[0].name in WARPS else 0

    def prepare(photos: Tensor, draw: Draw) -> Tensor:
        for part in parts[:first]:
            photos = part(photos, draw)
        if not parts[first:]:
            return preprocessing.normalise(photos)
        batch, height, width = len(draw), *draw.size
        done = torch.empty((batch, 3, height, width), device=photos.device, memory_format=torch.channels_last)
        at_once = batch if photos.device.type != "cpu" else max(1, CACHED // (height * width * 3))
        for start in range(0, batch, at_once):
            piece = slice(start, start + at_once)
            images = photos[piece]
            for part in parts[first:]:
                images = part(images, draw.of(piece))
            preprocessing.normalise(images, out=done[piece])
        return done

    return prepare


def on_photos(policy: Policy, size: tuple[int, int]) -> OnPhoto | None:
    """`augment(photo, row, epoch, seed, before)`, uint8 (height, width, 3), the same for the same numbers;
    `before`: how often the epoch had the row already. None where there is nothing to do.

    UsageError where albumentations refuses a number, or a step changes a photo's size or type.
    """
    steps = policy.on("photo")
    if not steps:
        return None
    parts = _on_one(steps)

    def augment(photo: np.ndarray, row: int, epoch: int, seed: int, before: int = 0) -> np.ndarray:
        draw = Draw(stream("photo", seed, epoch, row, before), np.array([row]), epoch, size)
        for part in parts:
            photo = part(photo, draw)
        return photo

    _refuse(steps, size, str(policy))
    return augment


def _refuse(steps: Sequence[Choice], size: tuple[int, int], policy: str) -> None:
    """UsageError where a step, done for sure, fails or changes more than pixels."""
    blank = np.zeros((*size, 3), np.uint8)
    try:
        parts, shown = _on_one([_for_sure(step) for step in steps]), []
        for look in range(LOOKS):
            photo, draw = blank, Draw(stream("photo", 0, look, 0), np.array([0]), look, size)
            for part in parts:
                photo = part(photo, draw)
            shown.append(photo)
    except UsageError:
        raise
    except Exception as error:  # of albumentations' or OpenCV's own kind, for a number that they can't use
        raise UsageError(f"augment={policy}: {' '.join(str(error).split())}") from None
    for photo in shown:
        if photo.shape != blank.shape or photo.dtype != blank.dtype:
            raise UsageError(f"augment={policy} makes {photo.dtype} {photo.shape} of uint8 {blank.shape}")


def _for_sure(step: Choice) -> Choice:
    """The step with a probability of 1; one of ours that has none (alternating_flip) as it is."""
    params = dict(step.params)
    if step.name not in STEPS or "p" in params:
        params["p"] = 1.0
    return replace(step, params=tuple(params.items()))


def _on_one(steps: Sequence[Choice]) -> list[OnOne]:
    parts: list[OnOne] = []
    for way, group in groupby(steps, key=_way):
        parts += way(list(group))
    return parts


def _parts(steps: Sequence[Choice]) -> list[Part]:
    """Neighbouring warps as one; each change of colours by itself, on floats."""
    parts: list[Part] = []
    for warping, group in groupby(steps, key=lambda step: step.name in WARPS):
        run = list(group)
        parts += [joined(run)] if warping else [_on_floats(step.build(PIXEL_STEPS)) for step in run]
    return parts


def _on_floats(change: Change) -> Part:
    return lambda images, draw: change(floats(images), draw)


def on_whole_photos(steps: Sequence[Choice]) -> OnOne:
    """Our own steps on uint8 (B, height, width, 3), which is what they give, too."""
    parts = _parts(steps)

    def augment(photos: np.ndarray, draw: Draw) -> np.ndarray:
        images = torch.from_numpy(photos)
        for part in parts:
            images = part(images, draw)
        if images.dtype != torch.uint8:
            images = (images * 255).round_().byte().permute(0, 2, 3, 1)
        return images.numpy()

    return augment


def _way(step: Choice) -> Callable[[Sequence[Choice]], list[OnOne]]:
    """How a step is done photo by photo; neighbours of one kind together."""
    if step.name in STEPS:
        return _ours
    return _torchvisions if step.name in PHOTO_STEPS else _albumentations


def _ours(steps: Sequence[Choice]) -> list[OnOne]:
    augment = on_whole_photos(steps)
    return [lambda photo, draw: augment(photo[None], draw)[0]]


def _torchvisions(steps: Sequence[Choice]) -> list[OnOne]:
    return [step.build(PHOTO_STEPS) for step in steps]


def _albumentations(steps: Sequence[Choice]) -> list[OnOne]:
    import albumentations

    def made(step: Choice) -> Any:
        try:
            return getattr(albumentations, step.name)(**dict(step.params))
        except (ValueError, TypeError) as error:
            raise UsageError(f"augment step {step.name}: {' '.join(str(error).split())}") from None

    compose = albumentations.Compose([made(step) for step in steps])

    def augment(photo: np.ndarray, draw: Draw) -> np.ndarray:
        # A seed for each step: Compose.set_random_seed would give all of them the same one.
        for transform in compose.transforms:
            transform.set_random_seed(int(draw.random.integers(2**32)))
        return compose(image=photo)["image"]

    return [augment]
