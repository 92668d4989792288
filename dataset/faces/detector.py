"""The face detector: MTCNN (Zhang et al. 2016, arXiv 1604.02878), of facenet-pytorch with its weights."""

import importlib.util
from functools import cache
from typing import Any

import numpy as np

from common.errors import UsageError

PACKAGE = "facenet-pytorch==2.6.0"
LEAST = 0.25  # of a photo's height: what is smaller is somebody behind, or an eye
# Of MTCNN's three networks, by default 0.6, 0.7, 0.7. Every photo shows a person, and the most probable face
# is taken: so more of those with a mask are found.
THRESHOLDS = (0.4, 0.4, 0.2)


def missing() -> list[str]:
    """What to do where the detector is not installed; it is not imported for that."""
    if importlib.util.find_spec("facenet_pytorch"):
        return []
    return [f"crop=face needs a face detector: pip install --no-deps {PACKAGE} (or make env)"]


def find_faces(photos: np.ndarray) -> np.ndarray:
    """The most probable face of each of `photos`, uint8 (B, height, width, 3): float32 (B, 4), top, left,
    bottom, right in pixels, perhaps beyond the photo; NaN where there is none.

    On the GPU where there is one. UsageError where the detector is not installed.
    """
    if errors := missing():
        raise UsageError(errors)
    least = max(12, round(LEAST * photos.shape[1]))  # it sees faces at 12 pixels
    best = np.full((len(photos), 4), np.nan, np.float32)
    if min(photos.shape[1:3]) < least:  # it would fail there
        return best
    boxes, probabilities = _mtcnn(least).detect(photos)
    for row, (found, sure) in enumerate(zip(boxes, probabilities, strict=True)):
        large = np.array([]) if found is None else np.flatnonzero(found[:, 3] - found[:, 1] >= least)
        if len(large):
            left, top, right, bottom = found[large[np.argmax(sure[large])]]
            best[row] = top, left, bottom, right
    return best


@cache
def _mtcnn(least: int) -> Any:
    import torch
    from facenet_pytorch import MTCNN

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mtcnn = MTCNN(min_face_size=least, thresholds=THRESHOLDS, select_largest=False, device=device)
    return mtcnn.eval().to(memory_format=torch.channels_last)  # 1.7 times as fast on a CPU
