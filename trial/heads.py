"""What a network ends in, by name, and how much of the network learns at first."""

from typing import Annotated

from trial.choice import Registry, Share


def classes(*, dropout: Share = 0.0) -> None:
    """One layer of 18 classes."""


def three(*, dropout: Share = 0.0) -> None:
    """Three layers: mask, gender, age."""


def none():
    """All of it learns from the start."""
    return lambda network, epoch: None


def backbone(*, epochs: Annotated[int, (1, 1000)] = 1) -> None:
    """Only the head learns in the first epochs."""


def gradual(*, every: Annotated[int, (1, 1000)] = 1) -> None:
    """The head first; one stage more, from the back, after each `every` epochs."""


HEADS: Registry = {"classes": classes, "three": three}
FREEZES: Registry = {"none": none, "backbone": backbone, "gradual": gradual}
