"""A photo's file -> pixels, or why not: nothing is decoded that is damaged, too large or not a plain file."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from struct import unpack_from
from zlib import crc32

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from common.image_size import Size
from dataset.photo_file import TOO_LARGE, not_a_file, too_large

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
# The rest of a PNG can only make libpng print warnings; among it is a frequent wrong colour profile.
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
OTHERS = ("AVIF", "BMP", "GIF", "JPEG", "TIFF", "WEBP")  # with a photo's name: what OpenCV decodes too
PARTS = (8, 4, 2)  # a JPEG can be decoded at one over these
EXIF, ORIENTATION = b"Exif\0\0", 0x0112
# EXIF's orientation -> the photo upright.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda photo: photo,
    2: lambda photo: cv2.flip(photo, 1),
    3: lambda photo: cv2.rotate(photo, cv2.ROTATE_180),
    4: lambda photo: cv2.flip(photo, 0),
    5: cv2.transpose,
    6: lambda photo: cv2.rotate(photo, cv2.ROTATE_90_CLOCKWISE),
    7: lambda photo: cv2.transpose(cv2.rotate(photo, cv2.ROTATE_180)),
    8: lambda photo: cv2.rotate(photo, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


class Undecodable(Exception):
    """Why, in a few words that follow the file's name."""


def decode(path: str | Path, size: Size | None = None) -> tuple[str, np.ndarray | None]:
    """(why it can't be decoded or "", uint8 height x width x 3 in RGB or None).

    Given a size, a JPEG is decoded at a half, quarter or eighth where that is large enough.
    """
    if why := not_a_file(path):
        return why, None
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return f"can't be read ({error.strerror})", None
    if not data:
        return "an empty file, not an image", None
    try:
        if data.startswith(JPEG):
            return "", _jpeg(data, size)
        return "", _png(data) if data.startswith(PNG) else _other(data)
    except Undecodable as why_not:
        return str(why_not), None


def _jpeg(data: bytes, size: Size | None) -> np.ndarray:
    """By simplejpeg: OpenCV gives the same pixels, but only prints what libjpeg says of damaged data, without
    the file's name, and goes on."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        if "subsampling" in str(error):  # valid and rare: TurboJPEG knows the usual ones alone
            return _other(data)
        raise _damaged(error) from None
    _refuse_large(height, width)
    turn = TURNS[_orientation(data)]
    if size and (part := _part((height, width), size)):
        photo = turn(_turbo(data, -(-height // part), -(-width // part)))
        if _enough(photo.shape[:2], size):  # not where it is turned by its EXIF after all
            return np.ascontiguousarray(photo)
    return np.ascontiguousarray(turn(_turbo(data)))


def _turbo(data: bytes, height: int = 0, width: int = 0) -> np.ndarray:
    """The JPEG as it is stored, not smaller than `height` x `width`; 0: whole."""
    try:
        return simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, strict=True)
    except ValueError as error:
        raise _damaged(error) from None


def _orientation(data: bytes) -> int:
    """EXIF's, from 1 to 8; 1 (upright) where there is none that can be read."""
    if (at := data.find(EXIF)) < 0:
        return 1
    exif = Image.Exif()
    try:
        exif.load(data[at : at + 0xFFFF])
        turned = exif.get(ORIENTATION)
    except Exception:  # of many kinds, and whatever is wrong there, the pixels are as they were
        return 1
    return turned if turned in TURNS else 1


def _png(data: bytes) -> np.ndarray:
    """Its chunks are checked here: libpng would only print that one fails its checksum."""
    cut = _damaged("the PNG ends too early")
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _damaged("a PNG without its header")
    width, height = unpack_from(">II", data, 16)
    _refuse_large(height, width)
    view, at, name = memoryview(data), len(PNG), b""
    kept = [view[:at]]
    while name != b"IEND":
        if at + 12 > len(data):
            raise cut
        length, name = unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise cut
        if crc32(view[at + 4 : end - 4]) != unpack_from(">I", data, end - 4)[0]:
            raise _damaged(f"wrong checksum of a PNG chunk, {name.decode('latin-1')!r}")
        if name in CHUNKS:
            kept.append(view[at:end])
        at = end
    return _by_opencv(b"".join(kept))


def _other(data: bytes) -> np.ndarray:
    try:
        with Image.open(BytesIO(data), formats=OTHERS) as image:  # lazy: no pixel is decoded
            width, height = image.size
    except Image.DecompressionBombError:  # Pillow's own limit, which is higher
        raise Undecodable(TOO_LARGE) from None
    except Exception:  # each format's reader says in its own way that it is damaged
        raise Undecodable("damaged, or not an image (JPEG or PNG); replace it") from None
    _refuse_large(height, width)
    return _by_opencv(data)


def _by_opencv(data: bytes) -> np.ndarray:
    try:
        photo = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise _damaged(error.err) from None
    if photo is None:
        raise _damaged("its pixels can't be decoded")
    return photo


def _damaged(why: object) -> Undecodable:
    return Undecodable(f"damaged ({why}); replace it")


def _refuse_large(height: int, width: int) -> None:
    if why := too_large(height, width):
        raise Undecodable(why)


def _part(stored: Size, size: Size) -> int | None:
    """8, 4 or 2: at a part of so much a JPEG is still large enough; None: only whole.

    Long side is held against long side: most photos stored on their side are turned by their EXIF.
    """
    parts = (part for part in PARTS if _enough(sorted(-(-side // part) for side in stored), sorted(size)))
    return next(parts, None)


def _enough(shape: Iterable[int], size: Iterable[int]) -> bool:
    """Between one and two times the size it would be blurred twice: 37 to 44 dB from the whole."""
    sides = [have / want for have, want in zip(shape, size, strict=True)]
    return min(sides) >= 2 or min(sides) == max(sides) == 1
