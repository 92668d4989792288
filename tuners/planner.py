"""What a search trains next: a new recipe, or one that is paused, within what the search may spend."""

import logging
import math
from collections.abc import Callable, Iterable
from itertools import islice

from optuna.trial import FrozenTrial

from tuners.budget import Remaining
from tuners.model.sampler import EPOCHS, GaussianProcessSampler, Option
from tuners.spaces.parameter import Params
from tuners.spaces.space import recipe_key
from tuners.trials import QUEUED, Trials

MOST = 10_000  # recipes of a space that are counted to see whether all were tried
FIRST_LOOK = "a first look, since it was chosen to lie far from the others"
REPEATED = 20  # suggestions of recipes tried before, after which an untried one is looked for

_logger = logging.getLogger("tuners.search")


class NothingMore(Exception):
    """Why a search begins no more trials."""


class Planner:
    """Decides what is begun and what is paused among `trials`.

    `trainings`: how many whole trainings' worth of epochs are spent, `hours`: how long is searched; None is
    no limit. `searched`: the seconds since the first trial.
    """

    def __init__(
        self, trials: Trials, trainings: float | None, hours: float | None, searched: Callable[[], float]
    ):
        self._trials, self._study, self._space = trials, trials.study, trials.space
        self._trainings, self._hours, self._searched = trainings, hours, searched
        self.size: int | None = None  # recipes of the space, up to MOST; None: to be counted

    def next(self) -> FrozenTrial:
        """The trial of the study that is handed out: a new one, or one that was paused.

        NothingMore if nothing is worth it, or allowed.
        """
        if self._trials.again:
            trial = self._trials[self._trials.again.pop(0)]
            _logger.info("recipe %d, chosen before, never began: it is handed out again", trial.number)
            return trial
        for _ in range(REPEATED):
            remaining = self.remaining()
            if remaining.is_over:
                raise NothingMore("the hours are over")
            option = self._option(remaining)
            if option and option.number is not None:
                return self._trials.go_on(option.number)
            if option is None and (paused := self._last_hope(remaining)):
                return self._trials.go_on(paused.number)
            if option is None and not remaining.allows(1):
                raise NothingMore("the trainings are spent")
            if option is None and self._is_exhausted():
                raise NothingMore("every recipe of the search space was tried")
            if asked := self._trials.ask():
                return asked
        for params in islice(self._grid(), MOST):
            if recipe_key(params) not in self._trials.tried:
                self._study.enqueue_trial(params, user_attrs={QUEUED: "random"})
                if asked := self._trials.ask():
                    return asked
        raise NothingMore("the sampler suggests recipes that were tried, and nothing else")

    def why_pause(self, number: int, is_far: bool) -> str:
        """What a running trial is to be paused for; '' if it goes on.

        `is_far`: it is a recipe of the start-up, after its first stint.
        """
        remaining = self.remaining(number)
        if remaining.is_over:
            return "the hours are over"
        if is_far and remaining.allows(1) and not self._is_exhausted():
            return FIRST_LOOK
        return remaining.worth_more(self._options(remaining, number), number)

    def remaining(self, pausing: int | None = None) -> Remaining:
        """What the search may still spend; the running trial `pausing` counts as paused."""
        return Remaining(
            math.inf if self._trainings is None else self._trainings - self._trials.trainings(pausing),
            math.inf if self._hours is None else 3600 * self._hours - self._searched(),
        )

    def _option(self, remaining: Remaining) -> Option | None:
        """What is best to train next; None if there is nothing to choose between."""
        chooses = self._trials.paused() or remaining.seconds < math.inf
        if not chooses or (self._trials.queued() and remaining.allows(1)):
            return None
        options = self._options(remaining)
        if remaining.all_too_late(options):
            raise NothingMore("the hours are nearly over: no training can end in time")
        return remaining.best(options)

    def _options(self, remaining: Remaining, pausing: int | None = None) -> list[Option]:
        if not isinstance(self._study.sampler, GaussianProcessSampler):
            return []
        options = self._study.sampler.options(self._study, pausing, remaining.seconds)
        return [option for option in options if option.number is not None or not self._is_exhausted()]

    def _last_hope(self, remaining: Remaining) -> FrozenTrial | None:
        """The best of the paused, if nothing else is left to begin and too few have finished for the model to
        choose: a search in which most recipes fail would end without a score."""
        has_more = remaining.allows(1) and not self._is_exhausted()
        if has_more or self._options(remaining):
            return None

        def part_left(trial: FrozenTrial) -> float:
            return float(1 - len(trial.intermediate_values) / trial.user_attrs.get(EPOCHS, math.inf))

        def latest(trial: FrozenTrial) -> float:
            return trial.intermediate_values[step] if (step := trial.last_step) is not None else -math.inf

        fitting = (trial for trial in self._trials.paused() if remaining.allows(part_left(trial)))
        return max(fitting, key=latest, default=None)

    def _is_exhausted(self) -> bool:
        if self._trials.queued():
            return False
        if self.size is None:
            self.size = sum(1 for _ in islice(self._grid(), MOST))
        return 0 < self.size < MOST and len(self._trials.tried) >= self.size

    def _grid(self) -> Iterable[Params]:
        return () if any(one.is_continuous for one in self._space.parameters) else self._space.grid()
