"""What is worth training next, and whether enough is left of what a search may spend."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tuners.errors import is_number
from tuners.model.sampler import Option

ROUNDING = 1e-6
# How many times as much something else must be worth for a trial to be paused: the best of hundreds of new
# recipes looks better than it is, and going on costs a start.
ADVANTAGE = 2.0
TOO_LATE = 2.0  # times the seconds left: a training that is predicted to take longer is not begun


def budget_errors(**budgets: Any) -> list[str]:
    """What can't be spent; None is no limit."""
    return [
        f"{name}: {value!r} is not a number above 0"
        for name, value in budgets.items()
        if value is not None and (not is_number(value) or not 0 < value < math.inf)
    ]


@dataclass(frozen=True)
class Remaining:
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

        If none of them is predicted to finish in time, the one that takes the least, unless it is far too
        late: a prediction may be wrong, and there is nothing else to do.
        """
        if self.is_over:
            return None
        possible = [option for option in options if self.allows(option.left) and not self._too_late(option)]
        in_time = [option for option in possible if not option.seconds > self.seconds]
        if in_time:
            return max(in_time, key=lambda option: option.value)
        return min(possible, key=lambda option: option.seconds, default=None)

    def all_too_late(self, options: Sequence[Option]) -> bool:
        """Whether each of the options is predicted to take far longer than the seconds left; not if there
        are none."""
        return bool(options) and all(map(self._too_late, options))

    def _too_late(self, option: Option) -> bool:
        return option.seconds > TOO_LATE * self.seconds

    def worth_more(self, options: Sequence[Option], number: int) -> str:
        """What is worth more than to go on with the trial `number`, one of the options; '' if nothing is."""
        best = self.best(options)
        own = next((option for option in options if option.number == number), None)
        if best is None or own is None or best.number == number:
            return ""
        what = "a new recipe" if best.number is None else f"recipe {best.number}"
        if best.value < own.value + math.log(ADVANTAGE):
            return f"it would end too late, and {what} sooner" if own.seconds > self.seconds else ""
        times = math.exp(min(best.value - own.value, 9))
        return f"{what} is worth {times:.1f} times as much" if times < 1000 else f"{what} is worth far more"
