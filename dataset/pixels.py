"""Photo files -> pixels."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from dataset.errors import CallersMistake
from dataset.progress import track

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}


def read_photo(path: str | Path) -> np.ndarray:
    """uint8 height x width x 3, RGB, turned as its EXIF says; CallersMistake names a file that is none."""
    reason, photo = _decode(path)
    if photo is None:
        raise CallersMistake(f"{path}: {reason}")
    return cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)


def resize(photo: np.ndarray, size: tuple[int, int], interpolation: str = "bilinear") -> np.ndarray:
    """The photo at size (height, width). Shrinking both ways averages areas, so that nothing flickers;
    otherwise by `interpolation`: nearest, bilinear, bicubic, lanczos, area."""
    height, width = size
    if interpolation not in INTERPOLATIONS:
        raise CallersMistake(f"unknown interpolation {interpolation!r}; known: {', '.join(INTERPOLATIONS)}")
    if photo.shape[:2] == (height, width):
        return photo
    shrinking = height <= photo.shape[0] and width <= photo.shape[1]
    how = cv2.INTER_AREA if shrinking else INTERPOLATIONS[interpolation]
    return cv2.resize(photo, (width, height), interpolation=how)


def unreadable(paths: Iterable[str | Path], progress: bool = False) -> list[str]:
    """Decodes them all, in threads; "path: reason" of each that can't be decoded whole, in their order."""
    paths = list(paths)
    with ThreadPoolExecutor() as threads:
        reasons = threads.map(_reason, paths)
        shown = track(paths, "decoding photos") if progress else paths
        return [f"{path}: {reason}" for path, reason in zip(shown, reasons, strict=True) if reason]


def _reason(path: str | Path) -> str:
    return _decode(path)[0]


def _decode(path: str | Path) -> tuple[str, np.ndarray | None]:
    """(why it can't be decoded or "", pixels BGR or None)."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        return f"can't be read ({error.strerror})", None
    if data.size == 0:
        return "an empty file, no photo", None
    try:
        photo = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        photo = None
    return ("" if photo is not None else "damaged, or no photo (JPEG or PNG)"), photo
