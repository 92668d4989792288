"""Trainings in stints: after which epochs a training may be paused, and what is worth training next."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tuners.samplers import Option

STINTS = 4  # in which a recipe is trained, if each time something else is worth more
ROUNDING = 1e-6


def stint_ends(epochs: int) -> list[int]:
    """The epochs after which a training of `epochs` may be paused: at the quarters, before the last."""
    ends = {math.ceil(epochs * stint / STINTS) for stint in range(1, STINTS)}
    return sorted(end for end in ends if end < epochs)


@dataclass(frozen=True)
class Left:
    """What a search may still spend: `trainings`, in whole ones, and `seconds`."""

    trainings: float = math.inf
    seconds: float = math.inf

    @property
    def is_over(self) -> bool:
        return self.seconds <= 0

    def allows(self, training: float) -> bool:
        """Whether this much of a training can be finished within the trainings left."""
        return training <= self.trainings + ROUNDING

    def best(self, options: Iterable[Option]) -> Option | None:
        """The option of the largest value among those that can still be finished; None if none can.

        If none of them is predicted to finish in time, the one that takes the least: a prediction may be
        wrong, and there is nothing else to do.
        """
        if self.is_over:
            return None
        possible = [option for option in options if self.allows(option.left)]
        in_time = [option for option in possible if not option.seconds > self.seconds]
        if in_time:
            return max(in_time, key=lambda option: option.value)
        return min(possible, key=lambda option: option.seconds, default=None)
