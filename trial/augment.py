"""A policy at work: its steps on photos one by one, then on whole batches on the device."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dataset.errors import CallersMistake
from trial.choice import Choice
from trial.draw import Draw
from trial.pixel_steps import PIXEL_STEPS
from trial.policies import STEPS, Policy
from trial.transforms import Preprocessing
from trial.warps import FLIPS, WARPS

Part = Callable[[Tensor, Draw], Tensor]
OnPhoto = Callable[[np.ndarray, int, int, int], np.ndarray]
CACHED = 2**20  # floats that a processor keeps near while the steps go over them one after the other


def on_batches(policy: Policy, preprocessing: Preprocessing) -> Part:
    """`prepare(photos, draw)`: uint8 (B, height, width, 3) -> float (B, 3, height, width), augmented and
    normalised, where the photos are."""
    parts = _parts(policy.on("batch"))

    def prepare(photos: Tensor, draw: Draw) -> Tensor:
        if not parts:
            return preprocessing.normalise(photos)
        batch, height, width, channels = photos.shape
        done = torch.empty(
            (batch, channels, height, width), device=photos.device, memory_format=torch.channels_last
        )
        at_once = batch if photos.device.type != "cpu" else max(1, CACHED // (height * width * channels))
        for start in range(0, batch, at_once):
            piece = slice(start, start + at_once)
            images = photos[piece].permute(0, 3, 1, 2) * (1 / 255)
            for part in parts:
                images = part(images, draw.of(piece))
            preprocessing.normalise(images, out=done[piece])
        return done

    return prepare


def on_photos(policy: Policy, size: tuple[int, int]) -> OnPhoto | None:
    """`augment(photo, row, epoch, seed)`, uint8 (height, width, 3), the same for the same numbers; None where
    there is nothing to do.

    CallersMistake where albumentations refuses a number, or a step changes a photo's size or type.
    """
    steps = policy.on("photo")
    if not steps:
        return None
    parts = [
        _ours_on_photo(list(group)) if ours else _albumentations(list(group))
        for ours, group in groupby(steps, key=lambda step: step.name in STEPS)
    ]

    def augment(photo: np.ndarray, row: int, epoch: int, seed: int) -> np.ndarray:
        random = np.random.default_rng((seed, epoch, row))
        draw = Draw(random, np.array([row]), epoch, size)
        for part in parts:
            photo = part(photo, draw)
        return photo

    blank = np.zeros((*size, 3), np.uint8)
    after = augment(blank, 0, 1, 0)
    if after.shape != blank.shape or after.dtype != blank.dtype:
        raise CallersMistake(f"augment={policy} makes {after.dtype} {after.shape} of uint8 {blank.shape}")
    return augment


def _parts(steps: Sequence[Choice]) -> list[Part]:
    """Each change of colours by itself; neighbouring warps as one."""
    parts: list[Part] = []
    for warping, group in groupby(steps, key=lambda step: step.name in WARPS):
        run = list(group)
        parts += [_warp(run)] if warping else [step.build(PIXEL_STEPS) for step in run]
    return parts


def _warp(steps: Sequence[Choice]) -> Part:
    """The steps' homographies multiplied, and the photos looked up once (bilinear, edges continued)."""
    warps = [step.build(WARPS) for step in steps]
    only_flips = all(step.name in FLIPS for step in steps)
    keeps_parallels = all(step.name != "perspective" for step in steps)

    def warp(images: Tensor, draw: Draw) -> Tensor:
        places = np.eye(3)
        for one in warps:
            places = places @ one(draw)
        if only_flips:
            mirrored = torch.from_numpy(places[:, 0, 0] < 0).to(images.device, non_blocking=True)
            return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
        theta = torch.from_numpy(places.astype(np.float32)).to(images.device, non_blocking=True)
        if keeps_parallels:
            grid = F.affine_grid(theta[:, :2], list(images.shape), align_corners=False)
        else:
            grid = _projected(theta, *images.shape[2:])
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    return warp


def _projected(theta: Tensor, height: int, width: int) -> Tensor:
    """(B, height, width, 2): where homographies (B, 3, 3) send the middle of each pixel."""
    y, x = ((torch.arange(n, device=theta.device) * 2 + 1) / n - 1 for n in (height, width))
    places = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    flat = F.pad(places, (0, 1), value=1.0).view(1, -1, 3) @ theta.mT
    return (flat[..., :2] / flat[..., 2:]).view(-1, height, width, 2)


def _ours_on_photo(steps: Sequence[Choice]) -> Callable[[np.ndarray, Draw], np.ndarray]:
    """Our own steps on a batch of one."""
    parts = _parts(steps)

    def augment(photo: np.ndarray, draw: Draw) -> np.ndarray:
        images = torch.from_numpy(photo).permute(2, 0, 1)[None].float().div_(255)
        for part in parts:
            images = part(images, draw)
        return (images[0] * 255).round_().byte().permute(1, 2, 0).numpy()

    return augment


def _albumentations(steps: Sequence[Choice]) -> Callable[[np.ndarray, Draw], np.ndarray]:
    import albumentations

    def made(step: Choice) -> Any:
        try:
            return getattr(albumentations, step.name)(**dict(step.numbers))
        except (ValueError, TypeError) as error:
            raise CallersMistake(f"augment step {step.name}: {' '.join(str(error).split())}") from None

    compose = albumentations.Compose([made(step) for step in steps])

    def augment(photo: np.ndarray, draw: Draw) -> np.ndarray:
        compose.set_random_seed(int(draw.random.integers(2**32)))
        return compose(image=photo)["image"]

    return augment
