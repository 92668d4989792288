"""Photos on a page, as data URLs: small, so that a page stays small, and no file is needed beside it."""

from base64 import b64encode
from collections.abc import Collection

import cv2
import numpy as np

from common.errors import UsageError
from dataset.pixels import read_photo, resize

HEIGHT = 160  # pixels; displayed smaller, so that they are sharp on high-density screens
WIDTH = 320
SMALL = 60  # pixels; smaller photos are enlarged with hard edges, so that their pixels are seen


def displayed(paths: Collection[str], titles: Collection[str]) -> list[dict[str, str]]:
    """{"url", "title"} of each photo that can be decoded."""
    found = []
    for path, title in zip(paths, titles, strict=True):
        try:
            pixels = read_photo(path)
        except UsageError:
            continue
        found.append({"url": data_url(at_size(pixels)), "title": title})
    return found


def at_size(photo: np.ndarray) -> np.ndarray:
    """The photo inside HEIGHT x WIDTH, enlarged if it is SMALL."""
    height, width = photo.shape[:2]
    if max(height, width) < SMALL:
        times = HEIGHT // max(height, width)
        return resize(photo, (height * times, width * times), "nearest")
    scale = min(HEIGHT / height, WIDTH / width)
    return (
        photo if scale >= 1 else resize(photo, (max(1, round(height * scale)), max(1, round(width * scale))))
    )


def data_url(photo: np.ndarray) -> str:
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + b64encode(jpeg.tobytes()).decode()
