"""What looks wrong in a data set, though it can be read: a person should look at it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suspect:
    """`where`: groups or a photo; `why`: what is suspicious; `paths`: photos to show, if any."""

    where: str
    why: str
    paths: tuple[str, ...] = ()
