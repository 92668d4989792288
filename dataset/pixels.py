"""Photo files -> pixels."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from common.errors import UsageError, unknown
from common.image_size import Size
from common.machine import cores
from common.progress import track
from dataset.decode import decode

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}
Box = Sequence[float]  # top, left, bottom, right: shares of the photo, from 0 to 1


def read_photo(path: str | Path) -> np.ndarray:
    """uint8 height x width x 3, RGB, turned as its EXIF says; UsageError names a file that can't be
    decoded whole."""
    reason, photo = decode(path)
    if photo is None:
        raise UsageError(f"{path}: {reason}")
    return photo


def read_to_size(
    path: str | Path, size: Size, interpolation: str = "bilinear", box: Box | None = None
) -> tuple[np.ndarray, bool]:
    """(uint8 (height, width, 3) of one photo, or of the `box` of it; whether `interpolation` had a part).

    A JPEG of four times the size or more, or of exactly 2, 4 or 8 times, is decoded smaller at once (by
    libjpeg's scaled DCT): 1.3 to 2.7 times as fast, and 48 to 57 dB from decoding it whole. So is one whose
    box is of that size. UsageError names a file that can't be decoded whole.
    """
    reason, photo = decode(path, size if box is None else _whole(size, box))
    if photo is None:
        raise UsageError(f"{path}: {reason}")
    if box is not None:
        photo = cut(photo, box)
    return np.ascontiguousarray(resize(photo, size, interpolation)), not _shrinks(photo, size)


def cut(photo: np.ndarray, box: Box) -> np.ndarray:
    """The part of a photo that lies in the box, to the nearest pixel; at least one."""
    height, width = photo.shape[:2]
    top, left = min(round(box[0] * height), height - 1), min(round(box[1] * width), width - 1)
    return photo[top : max(round(box[2] * height), top + 1), left : max(round(box[3] * width), left + 1)]


def resize(photo: np.ndarray, size: Size, interpolation: str = "bilinear") -> np.ndarray:
    """The photo at size (height, width). Shrinking both ways averages areas, so that nothing flickers;
    otherwise by `interpolation`: nearest, bilinear, bicubic, lanczos, area."""
    height, width = size
    if interpolation not in INTERPOLATIONS:
        raise UsageError(unknown("interpolation", interpolation, INTERPOLATIONS))
    if photo.shape[:2] == (height, width):
        return photo
    how = cv2.INTER_AREA if _shrinks(photo, size) else INTERPOLATIONS[interpolation]
    return cv2.resize(photo, (width, height), interpolation=how)


def unreadable(paths: Iterable[str | Path], progress: bool = False) -> list[str]:
    """Decodes them all, in threads; "path: reason" of each that can't be decoded whole, in their order."""
    paths = list(paths)
    with ThreadPoolExecutor(cores()) as threads:
        reasons = threads.map(_reason, paths)
        shown = track(paths, "decoding photos") if progress else paths
        return [f"{path}: {reason}" for path, reason in zip(shown, reasons, strict=True) if reason]


def _reason(path: str | Path) -> str:
    return decode(path)[0]


def _whole(size: Size, box: Box) -> Size:
    """The size of a photo whose box has `size`."""
    return round(size[0] / (box[2] - box[0])), round(size[1] / (box[3] - box[1]))


def _shrinks(photo: np.ndarray, size: Size) -> bool:
    return size[0] <= photo.shape[0] and size[1] <= photo.shape[1]
