"""NNI's tuner and assessor around a study of Optuna: what a search tries next, and which trials it stops.

NNI's dispatcher runs both in one process, with two threads, and an exception in either ends the experiment.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nni
import optuna
from nni.assessor import Assessor, AssessResult
from nni.tuner import Tuner
from optuna.trial import FrozenTrial

from tuners.budget import budget_errors
from tuners.chosen import BY, JOURNAL
from tuners.earlier import Earlier, earlier_folders, read_earlier
from tuners.errors import UsageError, count_errors, unknown
from tuners.model.bound import Bound, StopRule
from tuners.model.curves import stint_ends
from tuners.model.sampler import CHOSEN, IMPROVEMENT, GaussianProcessSampler
from tuners.planner import NothingMore, Planner
from tuners.reports import PARENT, Reported, Reports, curve_of, score
from tuners.samplers import SAMPLERS, sampler, word
from tuners.spaces.default_point import default_point
from tuners.spaces.parameter import Params
from tuners.spaces.recipes import First, read_first
from tuners.spaces.space import Space
from tuners.study import experiment_folder, open_study
from tuners.trials import GOES_ON_FROM, PAUSES, QUEUED, Trials

EARLIER, HOURS = "earlier", "seconds_searched"  # attributes of the study

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

    @classmethod
    def beside(cls, assessor: object) -> "Search":
        """The search whose trials `assessor` assesses. UsageError if the tuner is another one."""
        if cls.latest is None:
            raise UsageError(f"{type(assessor).__name__} works with the tuner tuners.search.Search only")
        return cls.latest

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
                trial = self.planner.next()
            except NothingMore as reason:
                self._has_more = False  # what runs goes on to its end: it would not be handed out again
                _logger.info("no more trials: %s", reason)
                raise nni.NoMoreTrialError(str(reason)) from None
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
            why = self.planner.why_pause(trial.number, is_far)
            if why:
                why = f"paused after {known.unit} {epoch} of {known.epochs}: {why}"
                self.trials.note(trial, PAUSES, why)
            self._write()
            return why

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
        self.planner = Planner(self.trials, self._trainings, self._hours, self._seconds)
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

    def _seconds(self) -> float:
        """For how long was searched since the first trial, without the time between two processes."""
        before, began = self._searched
        return before + self.clock() - began

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
        self._search = Search.beside(self)
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
        self._search, self._min_finished = Search.beside(self), min_finished
        if errors := count_errors(0, min_finished=min_finished):
            raise UsageError(errors)
        self._search.may_pause()

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        curve = curve_of(trial_history)
        pause = curve and self._search.reason_to_pause(trial_job_id, len(curve), self._min_finished)
        return AssessResult.Bad if pause else AssessResult.Good
