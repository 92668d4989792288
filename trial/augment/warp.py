"""Warps at work: a batch of photos looked up at the places that the steps of trial/augment/geometric.py give."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trial.augment.geometric import FLIPS, WARPS
from trial.choice import Choice
from trial.rng import Draw

# For the whole process, decoding too: the threads are ours, each at a photo of its own.
cv2.setNumThreads(0)


def joined(steps: Sequence[Choice]) -> Callable[[Tensor, Draw], Tensor]:
    """`warp(photos, draw)`: the steps' homographies multiplied, the photos looked up once, bilinear, their
    edges continued. Whole numbers on the CPU stay whole numbers; else float (B, 3, height, width)."""
    warps = [step.build(WARPS) for step in steps]
    only_flips = all(step.name in FLIPS for step in steps)
    keeps_parallels = all(step.name != "perspective" for step in steps)

    def warp(photos: Tensor, draw: Draw) -> Tensor:
        places = np.eye(3)
        for one in warps:
            places = places @ one(draw)
        if only_flips:
            mirrored = torch.from_numpy(places[:, 0, 0] < 0).to(photos.device, non_blocking=True)
            across = 2 if photos.dtype == torch.uint8 else 3
            return torch.where(mirrored.view(-1, 1, 1, 1), photos.flip(across), photos)
        if photos.dtype == torch.uint8 and photos.device.type == "cpu":
            return _by_opencv(photos.numpy(), places, keeps_parallels)
        images = floats(photos)
        theta = torch.from_numpy(places.astype(np.float32)).to(images.device, non_blocking=True)
        height, width = images.shape[2:]
        grid = _grid(theta, height, width, keeps_parallels)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    return warp


def floats(photos: Tensor) -> Tensor:
    """uint8 (B, height, width, 3) as float (B, 3, height, width) from 0 to 1; floats as they are."""
    return photos.permute(0, 3, 1, 2).float().mul_(1 / 255) if photos.dtype == torch.uint8 else photos


def _grid(theta: Tensor, height: int, width: int, keeps_parallels: bool) -> Tensor:
    """(B, height, width, 2): where homographies (B, 3, 3) send the middle of each pixel. Not as a matrix
    product: on a GPU that may be rounded to TF32's ten bits, a tenth of a pixel."""
    y, x = ((torch.arange(n, device=theta.device) * 2 + 1) / n - 1 for n in (height, width))
    numbers = theta[..., None, None]
    x_there, y_there, scale = (
        numbers[:, row, 0] * x + numbers[:, row, 1] * y[:, None] + numbers[:, row, 2] for row in range(3)
    )
    places = torch.stack([x_there, y_there], dim=-1)
    return places if keeps_parallels else places / scale[..., None]


def _by_opencv(photos: np.ndarray, places: np.ndarray, keeps_parallels: bool) -> Tensor:
    """The same on whole numbers, in threads: on a CPU several times as fast as grid_sample on floats."""
    batch, height, width, _ = photos.shape
    # From -1..1 to the middles of pixels, counted from 0.
    pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    matrices = np.broadcast_to(pixels @ places @ np.linalg.inv(pixels), (batch, 3, 3))
    warped = np.empty(photos.shape, photos.dtype)
    how = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}

    def some(rows: np.ndarray) -> None:
        for row in rows:
            if keeps_parallels:
                cv2.warpAffine(photos[row], matrices[row, :2], (width, height), dst=warped[row], **how)
            else:
                cv2.warpPerspective(photos[row], matrices[row], (width, height), dst=warped[row], **how)

    own, *others = np.array_split(np.arange(batch), min(torch.get_num_threads(), batch))
    elsewhere = [_pool(len(others)).submit(some, rows) for rows in others]
    some(own)
    for one in elsewhere:
        one.result()
    return torch.from_numpy(warped)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="warp")
