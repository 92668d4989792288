"""NNI's tuner and assessor around a study of Optuna: what a search tries next, and which trials it stops.

NNI's dispatcher runs both in one process, with two threads, and an exception in either ends the experiment.
"""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import nni
import optuna
from nni.assessor import Assessor, AssessResult
from nni.tuner import Tuner
from optuna.trial import FrozenTrial

from tuners.budget import Remaining, budget_errors
from tuners.chosen import BY, JOURNAL
from tuners.earlier import Earlier, earlier_folders, read_earlier
from tuners.errors import UsageError, count_errors, unknown
from tuners.model.bound import Bound, StopRule
from tuners.model.curves import stint_ends
from tuners.model.sampler import CHOSEN, EPOCHS, IMPROVEMENT, GaussianProcessSampler, Option
from tuners.reports import PARENT, Reported, Reports, curve_of, score
from tuners.samplers import SAMPLERS, sampler, word
from tuners.spaces.default_point import default_point
from tuners.spaces.parameter import Params
from tuners.spaces.recipes import First, read_first
from tuners.spaces.space import Space, recipe_key
from tuners.study import experiment_folder, open_study
from tuners.trials import GOES_ON_FROM, PAUSES, QUEUED, Trials

EARLIER, HOURS = "earlier", "seconds_searched"  # attributes of the study
MOST = 10_000  # recipes of a space that are counted to see whether all were tried
FIRST_LOOK = "a first look, since it was chosen to lie far from the others"
REPEATED = 20  # suggestions of recipes tried before, after which an untried one is looked for

_logger = logging.getLogger("tuners.search")


class Search(Tuner):
    """A search with one of `tuners.samplers.SAMPLERS`, whose study lies in the experiment's folder.

    `sampler`: its name; `seed`: the same seed gives the same suggestions for the same results in the same
    order. `default`: {key: value}, replaces the first option or the middle of a range in the recipe of trial
    0. `first`: known good recipes, asked right after it: paths of recipes, relative to the project, or
    points. `warm_start`: earlier experiments, ids or folders relative to the project, whose ranks
    gaussian_process learns from. `trainings`: how many whole trainings' worth of epochs are spent, `hours`:
    how long is searched from the first trial on; then there are no more trials, and towards either end only
    what can still be finished is begun. gaussian_process alone predicts what takes too long for the hours.

    Every trial is told to the study once, as what it was: COMPLETE, PRUNED if it was stopped, or FAIL, with
    its curve. Trials of an earlier process, killed or ended, are told from NNI's database and their run
    folders; those that never began are handed out again.
    """

    latest: "Search | None" = None  # whose trials the assessors assess

    def __init__(
        self,
        optimize_mode: str = "maximize",
        sampler: str = "gaussian_process",
        seed: int = 0,
        default: dict[str, Any] | None = None,
        first: Sequence[str | dict[str, Any]] = (),
        warm_start: Sequence[str] = (),
        trainings: float | None = None,
        hours: float | None = None,
    ):
        Search.latest = self
        self._sampler, self._seed, self._default = sampler, seed, default
        self._first: list[First] = []
        self._earlier: list[Path] = []
        self._folder = experiment_folder()
        self._is_resumed = self._folder is not None and (self._folder / JOURNAL).is_file()
        self._lock = threading.RLock()
        # What is known of the trial of a suggestion; a replay has its own.
        self.reported: Callable[[int, Params, str | None], Reported | None] = self._from_nni
        self.clock: Callable[[], float] = time.monotonic
        self._trainings, self._hours = trainings, hours
        self._searched = (0.0, 0.0)  # seconds of earlier processes; when this one began
        self._size: int | None = None
        self._has_more = True
        self._pauses = False
        errors = []
        if optimize_mode != "maximize":
            errors.append(f"optimize_mode: {optimize_mode!r}: scores are maximized here")
        if sampler not in SAMPLERS:
            errors.append(f"sampler: {unknown('name', sampler, SAMPLERS)}")
        elif warm_start and sampler != "gaussian_process":
            errors.append(f"warm_start: is for the sampler gaussian_process, not for {sampler}")
        errors += budget_errors(trainings=trainings, hours=hours)
        if not self._is_resumed:  # the study has them
            try:
                self._first = read_first(first)
            except UsageError as error:
                errors += error.errors
            try:
                self._earlier = earlier_folders(warm_start)
            except UsageError as error:
                errors += error.errors
        if errors:
            raise UsageError("; ".join(errors))

    # What NNI calls

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        with self._lock:
            if not hasattr(self, "study"):
                self._open(search_space)
            elif search_space != self._nni_space:
                _logger.warning("a search keeps its space: the change is ignored; start another experiment")

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        with self._lock:
            self.trials.settle()
            try:
                trial = self._next()
            except nni.NoMoreTrialError as reason:
                self._has_more = False  # what runs goes on to its end: it would not be handed out again
                _logger.info("no more trials: %s", reason)
                raise
            self._has_more = True
            self.trials.begin(trial, parameter_id)
            if trial.user_attrs.get(CHOSEN) not in BY:
                queued = trial.user_attrs.get(QUEUED)
                self.trials.note(trial, CHOSEN, queued or word(self._sampler, self.study, trial))
            self._write()
            return self._handed_out(self.trials[trial.number], parameter_id)

    def _handed_out(self, trial: FrozenTrial, parameter_id: int) -> dict[str, Any]:
        attributes = trial.user_attrs
        point = self.space.point(trial.params)
        if parent := attributes.get(GOES_ON_FROM):
            why = f"goes on after epoch {len(trial.intermediate_values)}, from trial {parent}"
            point = {**point, PARENT: parent}
        else:
            expected = attributes.get(IMPROVEMENT)
            why = attributes[CHOSEN] + ("" if expected is None else f", expected improvement {expected:.4f}")
        _logger.info("recipe %d (parameters %d): %s", trial.number, parameter_id, why)
        return point

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        with self._lock:
            self.trials.result(parameter_id, score(value))
            self._write()

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        with self._lock:
            self.trials.end(parameter_id, success)
            self._write()

    def import_data(self, data: Any) -> None:
        """Results of trials that NNI took up again after a resume, and those that a person imports."""
        with self._lock:
            self.trials.settle()
            for entry in data:
                self._import(entry.get("parameter"), score(entry.get("value")))
            self._write()

    def _on_exit(self) -> None:
        with self._lock:
            rows = self.trials.rows.values()
            by = Counter(row.chosen_by for row in rows)
            states = Counter(row.state for row in rows)
            _logger.info(
                "%d recipes, chosen by: %s; %s", len(rows),
                ", ".join(f"{who} {count}" for who, count in by.items()),
                ", ".join(f"{count} {state}" for state, count in states.items()),
            )  # fmt: skip

    # For the assessors

    def reason_to_stop(self, trial: str, curve: Sequence[float], rule: StopRule) -> str:
        """Why NNI's trial is to be stopped now; '' if it goes on."""
        with self._lock:
            if trial in self.trials.reasons:
                return ""
            why = rule.reason(curve, self.trials.curves, self.trials.finals)
            if why:
                self.trials.reasons[trial] = why
                _logger.info("stop %s: %s", trial, why)
            return why

    def may_pause(self) -> None:
        if self._sampler != "gaussian_process":
            raise UsageError(f"PauseAndGoOn: works with the sampler gaussian_process, not {self._sampler}")
        self._pauses = True

    def reason_to_pause(self, name: str, epoch: int, min_finished: int) -> str:
        """Why NNI's trial, which has just reported this epoch, is to be paused now; '' if it goes on."""
        with self._lock:
            found = self.trials.of_nni(name)
            if found is None:
                return ""
            trial, known = found
            known_epochs = len(trial.intermediate_values)  # one that goes on repeats its parent's reports
            ends = stint_ends(known.epochs) if known.epochs else []
            if epoch <= known_epochs or epoch not in ends:
                return ""
            if trial.user_attrs.get(PAUSES) or trial.user_attrs.get(QUEUED) == "default":
                return ""
            self.trials.report(trial, known)
            if not self._has_more or self.trials.queued():
                return ""
            is_far = trial.user_attrs.get(CHOSEN) == "start-up" and epoch == ends[0]
            if not is_far and len(self.trials.finals) < min_finished:
                return ""
            self.trials.settle()
            why = self._why_pause(trial.number, is_far)
            if why:
                why = f"paused after {known.unit} {epoch} of {known.epochs}: {why}"
                self.trials.note(trial, PAUSES, why)
            self._write()
            return why

    def _why_pause(self, number: int, is_far: bool) -> str:
        """What a running trial is to be paused for; '' if it goes on.

        `is_far`: it is a recipe of the start-up, after its first stint.
        """
        remaining = self._remaining(number)
        if remaining.is_over:
            return "the hours are over"
        if is_far and remaining.allows(1) and not self._is_exhausted():
            return FIRST_LOOK
        return remaining.worth_more(self._options(remaining, number), number)

    # Trials of the study

    def _open(self, nni_space: dict[str, Any]) -> None:
        try:
            space = Space(nni_space)
            sampler(self._sampler, space, self._seed)
            default = space.params(default_point(nni_space, self._default))
        except ValueError as error:
            raise UsageError(str(error)) from None
        earlier, notes = read_earlier(self._earlier, nni_space) if self._earlier else (None, [])
        study = open_study(self._folder, nni_space, optuna.samplers.RandomSampler())
        self.study, self.space, self._nni_space = study, space, nni_space
        self._reports = Reports(self._folder, space) if self._folder else None
        self.trials = Trials(study, space, self._folder, lambda *asked: self.reported(*asked))
        self.trials.pauses = self._pauses
        self._searched = study.user_attrs.get(HOURS, 0.0), self.clock()
        trials = self.trials.all()
        # The seed of Optuna's own would begin its draws again after a resume.
        own = self._sampler == "gaussian_process"
        study.sampler = sampler(self._sampler, space, self._seed if own else self._seed + len(trials))
        if isinstance(study.sampler, GaussianProcessSampler):
            study.sampler.pauses = self._pauses
        if not trials:
            if earlier:
                study.set_user_attr(EARLIER, earlier.to_json())
            for note in notes:
                _logger.warning("warm_start: %s", note)
            self.trials.queue(default, "default")
            self._queue_first(nni_space)
        self._learn_earlier()
        self.trials.take_up()
        self._write()

    def _learn_earlier(self) -> None:
        if isinstance(self.study.sampler, GaussianProcessSampler) and EARLIER in self.study.user_attrs:
            kept = Earlier(**self.study.user_attrs[EARLIER])
            self.study.sampler.learn_earlier(kept.params, kept.scores, kept.doubts)

    def _queue_first(self, nni_space: dict[str, Any]) -> None:
        for one in self._first:
            try:
                params, notes = one.params(nni_space, self._default)
            except ValueError as error:
                _logger.warning(
                    "first: %s is not tried, it does not fit the search space: %s", one.name, error
                )
                continue
            for note in notes:
                _logger.warning("first: %s %s", one.name, note)
            self.trials.queue(params, "first")

    def _next(self) -> FrozenTrial:
        """The trial of the study that is handed out: a new one, or one that was paused."""
        if self.trials.again:
            trial = self.trials[self.trials.again.pop(0)]
            _logger.info("recipe %d, chosen before, never began: it is handed out again", trial.number)
            return trial
        for _ in range(REPEATED):
            remaining = self._remaining()
            if remaining.is_over:
                raise nni.NoMoreTrialError("the hours are over")
            option = self._option(remaining)
            if option and option.number is not None:
                return self.trials.go_on(option.number)
            if option is None and (paused := self._last_hope(remaining)):
                return self.trials.go_on(paused.number)
            if option is None and not remaining.allows(1):
                raise nni.NoMoreTrialError("the trainings are spent")
            if option is None and self._is_exhausted():
                raise nni.NoMoreTrialError("every recipe of the search space was tried")
            if asked := self.trials.ask():
                return asked
        for params in islice(self._grid(), MOST):
            if recipe_key(params) not in self.trials.tried:
                self.study.enqueue_trial(params, user_attrs={QUEUED: "random"})
                if asked := self.trials.ask():
                    return asked
        raise nni.NoMoreTrialError("the sampler suggests recipes that were tried, and nothing else")

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

        fitting = (trial for trial in self.trials.paused() if remaining.allows(part_left(trial)))
        return max(fitting, key=latest, default=None)

    def _option(self, remaining: Remaining) -> Option | None:
        """What is best to train next; None if there is nothing to choose between."""
        chooses = self.trials.paused() or remaining.seconds < math.inf
        if not chooses or (self.trials.queued() and remaining.allows(1)):
            return None
        options = self._options(remaining)
        if remaining.all_too_late(options):
            raise nni.NoMoreTrialError("the hours are nearly over: no training can end in time")
        return remaining.best(options)

    def _options(self, remaining: Remaining, pausing: int | None = None) -> list[Option]:
        if not isinstance(self.study.sampler, GaussianProcessSampler):
            return []
        options = self.study.sampler.options(self.study, pausing, remaining.seconds)
        return [option for option in options if option.number is not None or not self._is_exhausted()]

    def _remaining(self, pausing: int | None = None) -> Remaining:
        return Remaining(
            math.inf if self._trainings is None else self._trainings - self.trials.trainings(pausing),
            math.inf if self._hours is None else 3600 * self._hours - self._seconds(),
        )

    def _seconds(self) -> float:
        """For how long was searched since the first trial, without the time between two processes."""
        before, began = self._searched
        return before + self.clock() - began

    def _is_exhausted(self) -> bool:
        if self.trials.queued():
            return False
        if self._size is None:
            self._size = sum(1 for _ in islice(self._grid(), MOST))
        return 0 < self._size < MOST and len(self.trials.tried) >= self._size

    def _grid(self) -> Iterable[Params]:
        return () if any(one.is_continuous for one in self.space.parameters) else self.space.grid()

    def _import(self, point: Any, result: float | None) -> None:
        if result is None or not isinstance(point, dict):
            _logger.warning("imported without a score: %s", point)
            return
        try:
            params = self.space.params({key: value for key, value in point.items() if key != PARENT})
        except ValueError as error:
            _logger.warning("an imported recipe does not fit the search space: %s", error)
            return
        self.trials.add(params, result)

    def _from_nni(self, parameter_id: int, params: Params, parent: str | None) -> Reported | None:
        return self._reports.of(parameter_id, params, parent) if self._reports else None

    def _write(self) -> None:
        self.study.set_user_attr(HOURS, self._seconds())  # without `hours`, too: a resume may bring some
        self.trials.write()


class CannotWin(Assessor):
    """Stops a trial for good if it can't win any more, by the bound of `tuners.model.bound.Bound`, whose
    arguments it takes.

    It works with the tuner Search, whose study has the finished trials.
    """

    def __init__(self, z: float = 5.0, margin: float = 0.01, min_finished: int = 12, start_epoch: int = 2):
        if Search.latest is None:
            raise UsageError("CannotWin works with the tuner tuners.search.Search only")
        self._search = Search.latest
        self._bound = Bound(z, margin, min_finished, start_epoch)

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        curve = curve_of(trial_history)
        stop = curve and self._search.reason_to_stop(trial_job_id, curve, self._bound)
        return AssessResult.Bad if stop else AssessResult.Good


class PauseAndGoOn(Assessor):
    """Pauses a trial at a quarter, half or three quarters of its epochs if a new recipe, or another that is
    paused, is worth more: expected improvement over the time that is left to train it. Search hands a paused
    one out again, with the key `parent`, as soon as it is worth most. The default, with which all others are
    compared, is never paused; the farthest recipes of the start-up are at their first quarter; no other is
    before `min_finished` have finished.

    It works with the tuner Search and its sampler gaussian_process, and with trials that go on from their
    parent's checkpoint. After Swersky, Snoek and Adams, Freeze-Thaw Bayesian Optimization, 2014.
    """

    pauses = True

    def __init__(self, min_finished: int = 1):
        if Search.latest is None:
            raise UsageError("PauseAndGoOn works with the tuner tuners.search.Search only")
        if errors := count_errors(0, min_finished=min_finished):
            raise UsageError(errors)
        Search.latest.may_pause()
        self._search, self._min_finished = Search.latest, min_finished

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        curve = curve_of(trial_history)
        pause = curve and self._search.reason_to_pause(trial_job_id, len(curve), self._min_finished)
        return AssessResult.Bad if pause else AssessResult.Good
