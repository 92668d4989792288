"""Photo files -> pixels."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import unpack_from

import cv2
import numpy as np

from dataset.errors import CallersMistake, unknown
from dataset.image_size import Size
from dataset.machine import cores
from dataset.progress import track

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
# The JPEG segments that hold its height and width; C4, C8 and CC between them are others.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
Box = Sequence[float]  # top, left, bottom, right: shares of the photo, from 0 to 1


def read_photo(path: str | Path) -> np.ndarray:
    """uint8 height x width x 3, RGB, turned as its EXIF says; CallersMistake names a file that is none."""
    reason, photo = _decode(path)
    if photo is None:
        raise CallersMistake(f"{path}: {reason}")
    return photo


def read_to_size(
    path: str | Path, size: Size, interpolation: str = "bilinear", box: Box | None = None
) -> tuple[np.ndarray, bool]:
    """(uint8 (height, width, 3) of one photo, or of the `box` of it; whether `interpolation` had a part).

    A JPEG of four times the size or more, or of exactly 2, 4 or 8 times, is decoded smaller at once (by
    libjpeg's scaled DCT): 1.3 to 2.7 times as fast, and 48 to 57 dB from decoding it whole. So is one whose
    box is of that size. CallersMistake names a file that is no photo.
    """
    reason, photo = _decode(path, size if box is None else _whole(size, box))
    if photo is None:
        raise CallersMistake(f"{path}: {reason}")
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
        raise CallersMistake(unknown("interpolation", interpolation, INTERPOLATIONS))
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
    return _decode(path)[0]


def _whole(size: Size, box: Box) -> Size:
    """The size of a photo whose box has `size`."""
    return round(size[0] / (box[2] - box[0])), round(size[1] / (box[3] - box[1]))


def _shrinks(photo: np.ndarray, size: Size) -> bool:
    return size[0] <= photo.shape[0] and size[1] <= photo.shape[1]


def _decode(path: str | Path, size: Size | None = None) -> tuple[str, np.ndarray | None]:
    """(why it can't be decoded or "", pixels or None); given a size, perhaps at a part of the photo's own."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        return f"can't be read ({error.strerror})", None
    if data.size == 0:
        return "an empty file, no photo", None
    try:
        photo = _decode_smaller(data, size) if size else None
        if photo is None:
            photo = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        photo = None
    return ("" if photo is not None else "damaged, or no photo (JPEG or PNG)"), photo


def _decode_smaller(data: np.ndarray, size: Size) -> np.ndarray | None:
    """The photo at a half, quarter or eighth, or None where that is too small or it is no JPEG."""
    part = _part(data, size)
    photo = cv2.imdecode(data, REDUCED[part]) if part else None
    if photo is None or not _enough(photo.shape[:2], size):  # turned by its EXIF, after all
        return None
    return cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)


def _part(data: np.ndarray, size: Size) -> int | None:
    """8, 4 or 2: at a part of so much a JPEG is still large enough; None: only whole, or no JPEG.

    Long side is held against long side: most photos stored on their side are turned by their EXIF.
    """
    stored = _jpeg_size(data)
    if stored is None:
        return None
    parts = (part for part in REDUCED if _enough(sorted(-(-side // part) for side in stored), sorted(size)))
    return next(parts, None)


def _enough(shape: Iterable[int], size: Iterable[int]) -> bool:
    """Between one and two times the size it would be blurred twice: 37 to 44 dB from the whole."""
    sides = [have / want for have, want in zip(shape, size, strict=True)]
    return min(sides) >= 2 or min(sides) == max(sides) == 1


def _jpeg_size(data: np.ndarray) -> Size | None:
    """(height, width) as its header says, read without decoding; None for what is no plain JPEG."""
    if data[:2].tobytes() != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= data.size:
        marker, kind, length, _, height, width = unpack_from(">BBHBHH", data, at)
        if marker != 0xFF:
            return None
        if kind in FRAMES:
            return height, width
        at += 2 + length
    return None
