"""Plays a tuner and an assessor, the classes that NNI loads, against learning curves, in simulated time.

Nothing is trained: a trial takes its recipe's recorded seconds and reports its recorded scores. Calls come in
the order of NNI's dispatcher (`nni.runtime.msg_dispatcher`): the assessor hears each epoch; a finished
trial's result, then its end, go to the tuner; a trial that is stopped or fails has only an end.

- A suggested point that was not recorded gets the nearest recipe that no trial of this replay has had:
  distances of the parameters are summed, see `Lookup`. A tuner with a method `candidates(points)` is given
  the recorded points first, to suggest only those, or to move its suggestions itself and know of it.
- A trial may go on where another one ended: its point then has the key PARENT with that trial's id beside the
  parameters. What the parent reported counts as this trial's, too.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import nni
import numpy as np
from nni.assessor import Assessor, AssessResult
from nni.tuner import Tuner

from benchmarks.search.table import Curves, Point
from tuners.reports import PARENT, Reported
from tuners.spaces.space import Space

Outcome = Literal["finished", "stopped", "failed", "running"]
EVENTS = {"finished": "SUCCEEDED", "stopped": "EARLY_STOPPED", "failed": "FAILED", "running": "RUNNING"}


@dataclass(frozen=True)
class Trial:
    """How a trial went: it trained `recipe` from epoch `first` (0 but for one that goes on) up to `epochs`,
    between two points in simulated time. `running`: it still was at the end of the replay."""

    number: int
    recipe: int
    first: int
    epochs: int
    start: float
    end: float
    outcome: Outcome


@dataclass(frozen=True)
class Replay:
    """The trials of a search in the order of their ends."""

    curves: Curves
    trials: tuple[Trial, ...]

    def spent(self, time: float) -> float:
        """Seconds of compute, of all workers together, up to a point in simulated time."""
        return sum(min(trial.end, time) - trial.start for trial in self.trials if trial.start < time)

    @cached_property
    def best(self) -> list[tuple[float, int]]:
        """(compute spent, recipe) whenever a trial finished with a better result than all before."""
        found: list[tuple[float, int]] = []
        final = self.curves.final
        for trial in self.trials:
            if trial.outcome == "finished" and (not found or final[trial.recipe] > final[found[-1][1]]):
                found.append((self.spent(trial.end), trial.recipe))
        return found

    def stopped(self, compute: float = np.inf) -> set[int]:
        """Recipes that lay stopped, or paused, when this compute had been spent: those of which no later
        trial had begun by then."""
        begun = [trial for trial in self.trials if self.spent(trial.start) < compute]
        last = {trial.recipe: trial for trial in sorted(begun, key=lambda trial: trial.number)}
        ended = {recipe: trial for recipe, trial in last.items() if self.spent(trial.end) <= compute}
        return {recipe for recipe, trial in ended.items() if trial.outcome == "stopped"}


class Lookup:
    """The recorded recipe for a point.

    The distance of two recipes is the sum over the parameters: for options without an order 0 if equal, else
    1; for numbers (and choices among numbers, and image sizes) their difference over the length of the range,
    by logarithms if the range is logarithmic or the options are above 0; 1 if only one of the two has the
    parameter, 0 if none has.
    """

    def __init__(self, space: Space, params: Sequence[dict[str, Any]]):
        self.space, self.params = space, params
        self._positions = np.array([space.positions(one) for one in params])
        self.free = np.ones(len(params), bool)

    def distances(self, params: dict[str, Any]) -> np.ndarray:
        """(R,) distances of every recorded recipe."""
        ours = self.space.positions(params)
        difference = np.abs(self._positions - ours)  # nan if either has none
        difference = np.where(self.space.categories, np.where(difference > 0, 1.0, difference), difference)
        one_sided = np.isnan(self._positions) != np.isnan(ours)
        return np.where(one_sided, 1.0, np.nan_to_num(difference)).sum(1)

    def nearest(self, params: dict[str, Any]) -> int | None:
        """The nearest recipe among those that are free, the first of several; None if none is."""
        if not self.free.any():
            return None
        return int(np.where(self.free, self.distances(params), np.inf).argmin())


@dataclass
class _Running:
    number: int
    recipe: int
    first: int
    start: float
    epochs: int
    history: list[dict[str, float]]

    def ended(self, end: float, outcome: Outcome) -> Trial:
        return Trial(self.number, self.recipe, self.first, self.epochs, self.start, end, outcome)


def play(
    curves: Curves,
    tuner: Tuner,
    assessor: Assessor | None = None,
    *,
    workers: int = 1,
    trials: int | None = None,
    compute: float = np.inf,
    reach: float | None = None,
    offer_candidates: bool = True,
    imported: Sequence[tuple[Point, float]] = (),
    lookup: "Lookup | None" = None,
) -> Replay:
    """Play a search with `workers` trials at a time.

    It ends, first come, when the tuner has no more or every recipe has had its trial; after `trials` trials
    (NNI's maxTrialNumber); when all workers together have spent `compute` seconds, and, if `reach` is given,
    a trial has finished with a result of at least that. `lookup` says which recipe of `curves` a point gets;
    None: the nearest. Trials of NNI's id N are named str(N).
    """
    game = _Game(curves, tuner, assessor, workers, trials, offer_candidates, lookup)
    if imported:
        tuner.import_data([{"parameter": point, "value": result} for point, result in imported])
    game.ask(0.0, workers)
    reached = reach is None
    while game.events:
        time, _, running = game.events[0]
        if reached and game.spent(time) > compute:
            return game.cut(compute)
        heapq.heappop(game.events)
        ended = game.report(time, running)
        if ended and ended.outcome == "finished" and reach is not None:
            reached = reached or curves.final[ended.recipe] >= reach
    return Replay(curves, tuple(game.ended))


class _Game:
    """NNI's manager and dispatcher. `events`: the next report of each running trial, (time, number,
    trial)."""

    def __init__(
        self,
        curves: Curves,
        tuner: Tuner,
        assessor: Assessor | None,
        workers: int,
        trials: int | None,
        offer_candidates: bool,
        lookup: Lookup | None,
    ):
        self.curves, self.tuner, self.assessor, self.workers = curves, tuner, assessor, workers
        space = Space(curves.space)
        self.lookup = lookup or Lookup(space, [space.params(point) for point in curves.points])
        self.events: list[tuple[float, int, _Running]] = []
        self.ended: list[Trial] = []
        self._left = np.inf if trials is None else trials
        self._asked = 0
        self._params: dict[int, Point] = {}
        self._histories: dict[int, tuple[int, list[dict[str, float]]]] = {}  # of trials that ended
        self._spent_of_ended = 0.0
        self.now = 0.0
        self._runs: dict[int, _Running] = {}
        self._outcomes: dict[int, Outcome] = {}
        if hasattr(tuner, "clock"):
            tuner.clock = lambda: self.now
        if hasattr(tuner, "reported"):
            tuner.reported = self.reported
        tuner.update_search_space(curves.space)
        if offer_candidates and hasattr(tuner, "candidates"):
            tuner.candidates(curves.points)

    def spent(self, time: float) -> float:
        """Seconds of compute up to now, which no ended trial is later than."""
        return self._spent_of_ended + sum(time - running.start for _, _, running in self.events)

    def ask(self, time: float, count: int) -> None:
        """Ask for trials, as NNI does for workers without one: all at once at the start, then one by one."""
        count = int(min(count, self._left))
        if count <= 0:
            return
        numbers = list(range(self._asked, self._asked + count))
        self._asked += count
        self._left -= count
        try:
            points = self.tuner.generate_multiple_parameters(numbers, st_callback=self._refused)
        except nni.NoMoreTrialError:
            points = []
        if len(points) < count:
            self._left = 0
        for number, point in zip(numbers, points, strict=False):
            self._start(time, number, point)

    def _refused(self, *suggestion: Any) -> None:
        raise TypeError("a tuner that sends its suggestions later cannot be replayed")

    def _start(self, time: float, number: int, point: Point) -> None:
        parent = point.get(PARENT)
        values = {key: value for key, value in point.items() if key != PARENT}
        if parent is not None:
            recipe, history = self._histories.pop(
                int(parent)
            )  # KeyError: it has not ended, or went on already
        else:
            found = self.lookup.nearest(self.lookup.space.params(values))
            if found is None:  # as if the search had been given as many trials as there are recipes
                self._left = 0
                return
            recipe, history = found, []
            self.lookup.free[recipe] = False
        self._params[number] = point
        running = self._runs[number] = _Running(
            number, recipe, len(history), time, len(history), list(history)
        )
        self._next_report(time, running)

    def reported(self, number: int, params: dict[str, Any], parent: str | None = None) -> Reported | None:
        """What NNI's database would say about a trial; None of one that has not begun."""
        running = self._runs.get(number)
        if running is None:
            return None
        curve = tuple(report["default"] for report in running.history)
        event = EVENTS[self._outcomes.get(number, "running")]
        epochs = self.curves.scores.shape[1]
        return Reported(str(number), event, curve, seconds=self.now - running.start, epochs=epochs)

    def _next_report(self, time: float, running: _Running) -> None:
        seconds = float(self.curves.seconds[running.recipe, running.epochs])
        heapq.heappush(self.events, (time + seconds, running.number, running))

    def report(self, time: float, running: _Running) -> Trial | None:
        """A trial has trained an epoch; what it was if that ended it."""
        self.now = time
        score = float(self.curves.scores[running.recipe, running.epochs])
        running.epochs += 1
        if np.isnan(score):
            return self._end(time, running, "failed")
        running.history.append({"default": score})
        stop = self._is_stopped(running)
        if running.epochs == self.curves.scores.shape[1]:  # a stop comes too late: the result is on its way
            result = float(self.curves.final[running.recipe])
            self.tuner.receive_trial_result(
                running.number, self._params[running.number], result,
                customized=False, trial_job_id=str(running.number),
            )  # fmt: skip
            return self._end(time, running, "finished")
        if stop:
            return self._end(time, running, "stopped")
        self._next_report(time, running)
        return None

    def _is_stopped(self, running: _Running) -> bool:
        if self.assessor is None:
            return False
        good = self.assessor.assess_trial(str(running.number), list(running.history))
        return good is AssessResult.Bad or good is False

    def _end(self, time: float, running: _Running, outcome: Outcome) -> Trial:
        self._outcomes[running.number] = outcome
        if self.assessor is not None and running.history:
            self.assessor.trial_end(str(running.number), outcome == "finished")
        self.tuner.trial_end(running.number, outcome == "finished")
        if outcome == "stopped":
            self._histories[running.number] = (running.recipe, running.history)
        trial = running.ended(time, outcome)
        self.ended.append(trial)
        self._spent_of_ended += trial.end - trial.start
        self.ask(time, self.workers - len(self.events))
        return trial

    def cut(self, compute: float) -> Replay:
        """The replay up to the time at which this compute was spent; what ran then is among its trials."""
        last = max((trial.end for trial in self.ended), default=0.0)
        # `spent` grows evenly from there on, as no trial starts or ends.
        end = max(last, last + (compute - self.spent(last)) / max(1, len(self.events)))
        running = sorted((running for _, _, running in self.events), key=lambda running: running.number)
        return Replay(self.curves, (*self.ended, *(one.ended(end, "running") for one in running)))
