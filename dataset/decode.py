"""Decode a photo's file into pixels, or say why not: it is damaged, too large or not a regular file."""

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
from dataset.photo_file import TOO_LARGE, file_error, size_error

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
# Other chunks of a PNG only make libpng print warnings, often about a wrong colour profile.
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
OTHERS = ("AVIF", "BMP", "GIF", "JPEG", "TIFF", "WEBP")  # decoded by OpenCV, whatever the file's extension
SCALES = (8, 4, 2)  # a JPEG can be decoded at a size divided by these
EXIF, ORIENTATION = b"Exif\0\0", 0x0112
# EXIF orientation -> function that turns the photo upright.
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
    """A photo can't be decoded; the message says why and follows the file's name."""


def decode(path: str | Path, size: Size | None = None) -> tuple[str, np.ndarray | None]:
    """Decode a photo: ("", uint8 (height, width, 3) in RGB), or (why it can't be decoded, None).

    The photo is turned as its EXIF orientation says. If `size` is given, a JPEG is decoded at a half, quarter
    or eighth of its size if that is still large enough.
    """
    why, data = _read(path)
    return (why, None) if why else _decode(data, size)


def look_at(path: str | Path) -> tuple[str, bool]:
    """(Why a photo can't be decoded, "" if it can; whether it is a PNG of 16 bits, of which `decode` takes
    the upper byte). Its file is read once."""
    why, data = _read(path)
    return why or _decode(data)[0], data.startswith(PNG) and data[24:25] == b"\x10"


def _read(path: str | Path) -> tuple[str, bytes]:
    """("", a file's content), or (why it can't be read, b"")."""
    if why := file_error(path):
        return why, b""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return f"can't be read ({error.strerror})", b""
    return ("", data) if data else ("an empty file, not an image", b"")


def _decode(data: bytes, size: Size | None = None) -> tuple[str, np.ndarray | None]:
    """As `decode`, of a file's content."""
    try:
        if data.startswith(JPEG):
            return "", _jpeg(data, size)
        return "", _png(data) if data.startswith(PNG) else _other(data)
    except Undecodable as why_not:
        return str(why_not), None


def _jpeg(data: bytes, size: Size | None) -> np.ndarray:
    """Decode with simplejpeg. OpenCV gives the same pixels, but for damaged data it only prints libjpeg's
    warning, without the file's name, and continues."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        if "subsampling" in str(error):  # valid but rare: TurboJPEG supports only the usual ones
            return _other(data)
        raise _damaged(error) from None
    _refuse_large(height, width)
    turn = TURNS[_orientation(data)]
    if size and (scale := _scale((height, width), size)):
        photo = turn(_turbo(data, -(-height // scale), -(-width // scale)))
        if _large_enough(photo.shape[:2], size):  # False if its EXIF did not turn it as `_scale` expects
            return np.ascontiguousarray(photo)
    return np.ascontiguousarray(turn(_turbo(data)))


def _turbo(data: bytes, height: int = 0, width: int = 0) -> np.ndarray:
    """Decode a JPEG, not turned, at its smallest size of at least `height` x `width`; 0: at full size."""
    try:
        return simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, strict=True)
    except ValueError as error:
        raise _damaged(error) from None


def is_sideways(exif: bytes) -> bool:
    """Whether EXIF data, or a file with it, say that width and height change places."""
    return _orientation(exif) >= 5


def _orientation(data: bytes) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) if there is none that can be read."""
    if (at := data.find(EXIF)) < 0:
        return 1
    exif = Image.Exif()
    try:
        exif.load(data[at : at + 0xFFFF])
        turned = exif.get(ORIENTATION)
    except Exception:  # many kinds of error; damaged EXIF does not affect the pixels
        return 1
    return turned if turned in TURNS else 1


def _png(data: bytes) -> np.ndarray:
    """Decode a PNG. The checksums are verified here: libpng would only print that one is wrong."""
    truncated = _damaged("the PNG ends too early")
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _damaged("a PNG without its header")
    width, height = unpack_from(">II", data, 16)
    _refuse_large(height, width)
    view, at, name = memoryview(data), len(PNG), b""
    kept = [view[:at]]
    while name != b"IEND":
        if at + 12 > len(data):
            raise truncated
        length, name = unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise truncated
        if crc32(view[at + 4 : end - 4]) != unpack_from(">I", data, end - 4)[0]:
            raise _damaged(f"wrong checksum of a PNG chunk, {name.decode('latin-1')!r}")
        if name in CHUNKS:
            kept.append(view[at:end])
        at = end
    return _by_opencv(b"".join(kept))


def _other(data: bytes) -> np.ndarray:
    try:
        with Image.open(BytesIO(data), formats=OTHERS) as image:  # lazy: reads the header only
            width, height = image.size
    except Image.DecompressionBombError:  # over Pillow's own limit, which is higher
        raise Undecodable(TOO_LARGE) from None
    except Exception:  # each format raises its own errors for damaged data
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
    if why := size_error(height, width):
        raise Undecodable(why)


def _scale(stored: Size, size: Size) -> int | None:
    """The largest of SCALES at which a JPEG is still large enough for `size`, None if there is none.

    Long sides are compared with long sides: most photos stored on their side are turned by their EXIF.
    """
    scales = (n for n in SCALES if _large_enough(sorted(-(-side // n) for side in stored), sorted(size)))
    return next(scales, None)


def _large_enough(shape: Iterable[int], size: Iterable[int]) -> bool:
    """Whether `shape` is exactly `size` or at least twice as large. In between, shrinking a second time would
    blur: 37 to 44 dB (PSNR) compared with decoding at full size."""
    sides = [have / want for have, want in zip(shape, size, strict=True)]
    return min(sides) >= 2 or min(sides) == max(sides) == 1
