"""What is worth training next, and whether enough is left of what a search may spend."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tuners.model_sampler import Option

ROUNDING = 1e-6


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
