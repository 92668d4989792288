"""Which part of a photo the network sees, by name.

A builder takes the photos' paths and the network's image size (height, width), and returns a box for each
photo; None is the whole photo. The parameters are kept in the run folder, so that prediction crops as
training did.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from common.image_size import Size
from dataset import boxes
from dataset.boxes import HEIGHT, MARGIN, WIDTH, Crop

Part = Annotated[float, (0.1, 1)]


def none(paths: Sequence[str], size: Size) -> None:
    """The whole photo."""


def center(paths: Sequence[str], size: Size, *, height: Part = HEIGHT, width: Part = WIDTH) -> Crop:
    """The middle of the photo: fractions of its height and width.

    The default is the baseline's 320 x 256 of 512 x 384 pixels, in proportion at other sizes.
    """
    return boxes.center(len(paths), height, width)


def face(
    paths: Sequence[str],
    size: Size,
    *,
    margin: Annotated[float, (0, 2)] = MARGIN,
    height: Part = HEIGHT,
    width: Part = WIDTH,
) -> Crop:
    """The face that a detector finds, with a margin; the middle of the photo if it finds none.

    `margin` 0.3 makes the box 1.3 times as high and wide as the face. Without a face the box is the middle,
    `height` x `width`. The box has the aspect ratio of the image size, so that no face is distorted.
    """
    from dataset.faces.locate import face_crop  # not for a recipe without faces

    return face_crop(paths, size, margin, height, width)


CROPS: dict[str, Callable[..., Crop | None]] = {"none": none, "center": center, "face": face}
