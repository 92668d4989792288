"""Geometric steps applied: a batch of photos resampled by the homographies of trial/augment/geometric.py."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trial.augment.geometric import FLIPS, GEOMETRIC
from trial.choice import Choice
from trial.rng import Draw

# For the whole process, decoding included: parallel work is over photos, in threads of our own.
cv2.setNumThreads(0)


def compose(steps: Sequence[Choice]) -> Callable[[Tensor, Draw], Tensor]:
    """One `warp(photos, draw)` for consecutive geometric steps: bilinear, edge pixels repeated outside.

    Photos are uint8 (B, height, width, 3), which they stay on the CPU, or float (B, 3, height, width), from 0
    to 1, which all others become.
    """
    warps = [step.build(GEOMETRIC) for step in steps]
    only_flips = all(step.name in FLIPS for step in steps)
    keeps_parallels = all(step.name != "perspective" for step in steps)

    def warp(photos: Tensor, draw: Draw) -> Tensor:
        homographies = np.eye(3)
        for one in warps:
            homographies = homographies @ one(draw)
        if only_flips:
            mirrored = torch.from_numpy(homographies[:, 0, 0] < 0).to(photos.device, non_blocking=True)
            across = 2 if photos.dtype == torch.uint8 else 3
            return torch.where(mirrored.view(-1, 1, 1, 1), photos.flip(across), photos)
        if photos.dtype == torch.uint8 and photos.device.type == "cpu":
            return _by_opencv(photos.numpy(), homographies, keeps_parallels)
        images = to_float(photos)
        theta = torch.from_numpy(homographies.astype(np.float32)).to(images.device, non_blocking=True)
        height, width = images.shape[2:]
        grid = _grid(theta, height, width, keeps_parallels)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    return warp


def to_float(photos: Tensor) -> Tensor:
    """uint8 (B, height, width, 3) -> float (B, 3, height, width) from 0 to 1; floats are kept."""
    return photos.permute(0, 3, 1, 2).float().mul_(1 / 255) if photos.dtype == torch.uint8 else photos


def _grid(theta: Tensor, height: int, width: int, keeps_parallels: bool) -> Tensor:
    """(B, height, width, 2): where the homographies (B, 3, 3) send the centre of each pixel.

    Written out, since a GPU may round a matrix product to TF32's ten bits, a tenth of a pixel.
    """
    y, x = ((torch.arange(n, device=theta.device) * 2 + 1) / n - 1 for n in (height, width))
    entries = theta[..., None, None]
    x_source, y_source, scale = (
        entries[:, row, 0] * x + entries[:, row, 1] * y[:, None] + entries[:, row, 2] for row in range(3)
    )
    sources = torch.stack([x_source, y_source], dim=-1)
    return sources if keeps_parallels else sources / scale[..., None]


def _by_opencv(photos: np.ndarray, homographies: np.ndarray, keeps_parallels: bool) -> Tensor:
    """The same on uint8 photos, in threads: on a CPU several times as fast as grid_sample on floats."""
    batch, height, width, _ = photos.shape
    # From coordinates -1 to 1 to pixel indices, whose integers are pixel centres.
    pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    matrices = np.broadcast_to(pixels @ homographies @ np.linalg.inv(pixels), (batch, 3, 3))
    warped = np.empty(photos.shape, photos.dtype)
    options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}

    def warp_rows(rows: np.ndarray) -> None:
        for row in rows:
            if keeps_parallels:
                cv2.warpAffine(photos[row], matrices[row, :2], (width, height), dst=warped[row], **options)
            else:
                cv2.warpPerspective(photos[row], matrices[row], (width, height), dst=warped[row], **options)

    own, *others = np.array_split(np.arange(batch), min(torch.get_num_threads(), batch))
    futures = [_pool(len(others)).submit(warp_rows, rows) for rows in others]
    warp_rows(own)
    for future in futures:
        future.result()
    return torch.from_numpy(warped)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="warp")
