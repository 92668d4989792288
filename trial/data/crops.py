"""Which part of a photo a network sees, by name. A builder gets the photos' paths and the network's image
size and gives a box for each photo; None is the whole photo. Its numbers are kept in the run folder, so that
validation and prediction crop as training did."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from dataset.boxes import HEIGHT, MARGIN, WIDTH
from trial.choice import Registry

if TYPE_CHECKING:
    from dataset.boxes import Crop

Part = Annotated[float, (0.1, 1)]


def none(paths: Sequence[str], size: tuple[int, int]) -> None:
    """The whole photo."""


def center(
    paths: Sequence[str], size: tuple[int, int], *, height: Part = HEIGHT, width: Part = WIDTH
) -> "Crop":
    """The middle: the baseline's 320 high x 256 wide of 512 x 384, in proportion at other sizes."""
    from dataset import boxes

    return boxes.center(len(paths), height, width)


def face(
    paths: Sequence[str],
    size: tuple[int, int],
    *,
    margin: Annotated[float, (0, 2)] = MARGIN,
    height: Part = HEIGHT,
    width: Part = WIDTH,
) -> "Crop":
    """The face that a detector finds, with `margin` of its size around it (0.3: 1.3 times as high and wide);
    else the middle, `height` x `width`. In the shape of the image size, so that no face is squashed."""
    from dataset.faces.locate import face_crop

    return face_crop(paths, size, margin, height, width)


CROPS: Registry = {"none": none, "center": center, "face": face}
