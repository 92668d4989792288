"""Which part of a photo a network sees, by name. A builder's numbers are kept in the run folder, so that
validation and prediction crop as training did."""

from typing import Annotated

from trial.choice import Registry, Share


def none() -> None:
    """The whole photo."""


def center(*, height: Share = 0.625, width: Share = 2 / 3) -> None:
    """The middle: the seed project's 320 high x 256 wide of 512 x 384, in proportion at other sizes."""


def face(*, margin: Annotated[float, (0, 2)] = 0.3) -> None:
    """The face that a detector finds, with `margin` of its size around it; else `center`."""


CROPS: Registry = {"none": none, "center": center, "face": face}
