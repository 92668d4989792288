"""NNI's tuner and assessor around a study of Optuna: what a search tries next, and which trials it stops.

NNI's dispatcher runs both in one process, with two threads, and an exception in either ends the experiment.
"""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import nni
import optuna
from nni.assessor import Assessor, AssessResult
from nni.tuner import Tuner
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from tuners.bound import Bound, StopRule
from tuners.chosen import BY, JOURNAL, Chosen, write_chosen
from tuners.default_point import default_point
from tuners.errors import UsageError, unknown
from tuners.recipes import Earlier, First, earlier_folders, read_earlier, read_first
from tuners.reports import Reported, reported, score
from tuners.samplers import (
    CHOSEN,
    IMPROVEMENT,
    PREDICTED,
    REPEATS,
    SAMPLERS,
    SECONDS,
    GaussianProcessSampler,
    sampler,
)
from tuners.space import Params, Space
from tuners.study import journal_of, open_study

# User attributes of a trial in the study.
PARAMETER_ID, TRIAL, WHY, QUEUED = "parameter_id", "nni_trial", "why", "queued_as"
EARLIER = "earlier"  # of the study
RANDOM_STARTS = {
    "tpe": 10,
    "optuna_gp": 10,
    "cma_es": 1,
}  # trials that Optuna's samplers draw at random first
STOPPED = {
    "EARLY_STOPPED": "stopped by the assessor, or at maxTrialDuration",
    "USER_CANCELED": "stopped by a person",
    "SYS_CANCELED": "stopped by NNI",
}
LATE_SECONDS = 30.0  # a final result may follow its trial's end; by then it has
MOST = 10_000  # recipes of a space that are counted to see whether all were tried
REPEATED = 20  # suggestions of recipes tried before, after which an untried one is looked for

_logger = logging.getLogger("tuners.search")


class Search(Tuner):
    """A search with one of `tuners.samplers.SAMPLERS`, whose study lies in the experiment's folder.

    `sampler`: its name; `seed`: the same seed gives the same suggestions for the same results in the same
    order. `default`: {key: value}, replaces the first option or the middle of a range in the recipe of trial
    0. `first`: known good recipes, asked right after it: paths of recipes, relative to the project, or
    points. `warm_start`: earlier experiments, ids or folders relative to the project, whose ranks
    gaussian_process learns from.

    Every trial is told to the study once, as what it was: COMPLETE, PRUNED if it was stopped, or FAIL, with
    its curve. Trials of an earlier process, killed or ended, are told from NNI's database and their run
    folders; those that never began are handed out again.
    """

    latest: "Search | None" = None  # whose trials CannotWin assesses

    def __init__(
        self,
        optimize_mode: str = "maximize",
        sampler: str = "gaussian_process",
        seed: int = 0,
        default: dict[str, Any] | None = None,
        first: Sequence[str | dict[str, Any]] = (),
        warm_start: Sequence[str] = (),
    ):
        Search.latest = self
        self._sampler, self._seed, self._default = sampler, seed, default
        self._first: list[First] = []
        self._earlier: list[Path] = []
        self._folder = experiment_folder()
        self._is_resumed = self._folder is not None and (self._folder / JOURNAL).is_file()
        self._lock = threading.RLock()
        # What is known of the trial of a suggestion; a replay has its own.
        self.reported: Callable[[int, Params], Reported | None] = self._from_nni
        self._numbers: dict[int, int] = {}  # in the study, by NNI's parameter id
        self._ended: dict[int, float] = {}  # when trials ended without a result so far, by number
        self._results: set[int] = set()  # numbers of trials whose result was received
        self._again: list[int] = []  # numbers of trials that were chosen but never began
        self._tried: dict[Any, int] = {}  # numbers by recipe
        self._stopped: dict[str, str] = {}  # reasons, by NNI's id of a trial
        self._curves: list[tuple[float, ...]] = []  # of finished trials
        self._finals: list[float] = []
        self._size: int | None = None
        self._rows: dict[int, Chosen] = {}  # of chosen.csv, by number
        self._written: set[int] = set()  # numbers whose rows change no more
        errors = []
        if optimize_mode != "maximize":
            errors.append(f"optimize_mode: {optimize_mode!r}: scores are maximized here")
        if sampler not in SAMPLERS:
            errors.append(f"sampler: {unknown('name', sampler, SAMPLERS)}")
        elif warm_start and sampler != "gaussian_process":
            errors.append(f"warm_start: is for the sampler gaussian_process, not for {sampler}")
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
            self._settle()
            trial = self._next()
            self._numbers[parameter_id] = trial.number
            if trial.user_attrs.get(CHOSEN) not in BY:
                self._note(trial, CHOSEN, self._word(trial))
            self._note(trial, PARAMETER_ID, parameter_id)
            self._write()
            attributes = self._trial(trial.number).user_attrs
            expected = attributes.get(IMPROVEMENT)
            _logger.info(
                "recipe %d (parameters %d): %s%s", trial.number, parameter_id, attributes.get(CHOSEN),
                "" if expected is None else f", expected improvement {expected:.4f}",
            )  # fmt: skip
            return self.space.point(self._trial(trial.number).params)

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any) -> None:
        with self._lock:
            number = self._numbers.get(parameter_id)
            if number is None:
                _logger.warning("a result of parameters %s, which this search did not suggest", parameter_id)
            elif number in self._results:
                _logger.warning("a second result of parameters %s is ignored", parameter_id)
            else:
                self._results.add(number)
                trial, result = self._trial(number), score(value)
                if result is None:
                    _logger.warning("the result %r of parameters %s is not a score", value, parameter_id)
                if not trial.state.is_finished():
                    self._tell(trial, self.reported(parameter_id, trial.params) or Reported(), result)
                    self._write()

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        with self._lock:
            number = self._numbers.get(parameter_id)
            if number is None or (trial := self._trial(number)).state.is_finished():
                return
            known = self.reported(parameter_id, trial.params) or Reported()
            if success and known.result is None:
                self._ended[number] = time.monotonic()  # its result may still be on its way
            else:
                self._tell(trial, known, known.result)
            self._write()

    def import_data(self, data: Any) -> None:
        """Results of trials that NNI took up again after a resume, and those that a person imports."""
        with self._lock:
            self._settle()
            for entry in data:
                self._import(entry.get("parameter"), score(entry.get("value")))
            self._write()

    def _on_exit(self) -> None:
        with self._lock:
            by = Counter(row.chosen_by for row in self._rows.values())
            states = Counter(row.state for row in self._rows.values())
            _logger.info(
                "%d recipes, chosen by: %s; %s", len(self._rows),
                ", ".join(f"{word} {count}" for word, count in by.items()),
                ", ".join(f"{count} {state}" for state, count in states.items()),
            )  # fmt: skip

    # For the assessor

    def reason_to_stop(self, trial: str, curve: Sequence[float], rule: StopRule) -> str:
        """Why NNI's trial is to be stopped now; '' if it goes on."""
        with self._lock:
            if trial in self._stopped:
                return ""
            why = rule.reason(curve, self._curves, self._finals)
            if why:
                self._stopped[trial] = why
                _logger.info("stop %s: %s", trial, why)
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
        trials = study.get_trials(deepcopy=False)
        # The seed of Optuna's own would begin its draws again after a resume.
        own = self._sampler == "gaussian_process"
        study.sampler = sampler(self._sampler, space, self._seed if own else self._seed + len(trials))
        if not trials:
            if earlier:
                study.set_user_attr(EARLIER, earlier.to_json())
            for note in notes:
                _logger.info("warm_start: %s", note)
            self._queue(default, "default")
            self._queue_first(nni_space)
        if isinstance(study.sampler, GaussianProcessSampler) and EARLIER in study.user_attrs:
            kept = Earlier(**study.user_attrs[EARLIER])
            study.sampler.learn_earlier(kept.params, kept.scores)
        for trial in trials:
            self._remember(trial)
        self._take_up()
        self._write()

    def _queue_first(self, nni_space: dict[str, Any]) -> None:
        for one in self._first:
            try:
                params, missing = one.params(nni_space, self._default)
            except ValueError as error:
                _logger.warning(
                    "first: %s is not tried, it does not fit the search space: %s", one.name, error
                )
                continue
            if missing:
                _logger.info("first: %s has no %s: the default's", one.name, ", ".join(missing))
            self._queue(params, "first")

    def _queue(self, params: Params, word: str) -> None:
        waiting = [
            trial for trial in self.study.get_trials(deepcopy=False) if trial.state == TrialState.WAITING
        ]
        if all(trial.system_attrs["fixed_params"] != params for trial in waiting):
            self.study.enqueue_trial(params, user_attrs={QUEUED: word})

    def _next(self) -> FrozenTrial:
        """A trial of the study that is new to it."""
        if self._again:
            trial = self._trial(self._again.pop(0))
            _logger.info("recipe %d, chosen before, never began: it is handed out again", trial.number)
            return trial
        for _ in range(REPEATED):
            if self._is_exhausted():
                raise nni.NoMoreTrialError("every recipe of the search space was tried")
            if asked := self._ask():
                return asked
        for params in islice(self._grid(), MOST):
            if _key(params) not in self._tried:
                self.study.enqueue_trial(params, user_attrs={QUEUED: "random"})
                if asked := self._ask():
                    return asked
        raise nni.NoMoreTrialError("the sampler suggests recipes that were tried, and nothing else")

    def _ask(self) -> FrozenTrial | None:
        """A new trial of the study; None if its recipe was tried before."""
        asked = self.study.ask()
        self.space.ask(asked)
        trial = self._trial(asked.number)
        before = self._tried.setdefault(_key(trial.params), trial.number)
        if before != trial.number:
            self._note(trial, REPEATS, before)
            self.study.tell(trial.number, state=TrialState.FAIL)
            return None
        return trial

    def _word(self, trial: FrozenTrial) -> str:
        """Who chose the recipe, one of BY."""
        if QUEUED in trial.user_attrs:
            return str(trial.user_attrs[QUEUED])
        if self._sampler in ("random", "grid"):
            return self._sampler
        if self._sampler == "gaussian_process":
            return "model" if trial.user_attrs.get(CHOSEN) == "model" else "start-up"
        learnt = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return "start-up" if len(learnt) < RANDOM_STARTS[self._sampler] else "model"

    def _is_exhausted(self) -> bool:
        if any(trial.state == TrialState.WAITING for trial in self.study.get_trials(deepcopy=False)):
            return False
        if self._size is None:
            self._size = sum(1 for _ in islice(self._grid(), MOST))
        return 0 < self._size < MOST and len(self._tried) >= self._size

    def _grid(self) -> Iterable[Params]:
        return () if any(one.is_continuous for one in self.space.parameters) else self.space.grid()

    def _trial(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _remember(self, trial: FrozenTrial) -> None:
        if self.space.holds(trial.params) and REPEATS not in trial.user_attrs:
            self._tried.setdefault(_key(trial.params), trial.number)
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            self._finals.append(trial.value)
            self._curves.append(tuple(value for _, value in sorted(trial.intermediate_values.items())))

    def _take_up(self) -> None:
        """Reconcile the trials that an earlier process left running with what NNI knows of them."""
        self._settle()
        for trial in self._running():
            parameter_id = trial.user_attrs.get(PARAMETER_ID)
            if not self.space.holds(trial.params):
                self._tell(trial, Reported(), None, "its choice was cut short")
                if QUEUED in trial.user_attrs:
                    self._queue(trial.system_attrs["fixed_params"], trial.user_attrs[QUEUED])
            elif parameter_id is None or self.reported(parameter_id, trial.params) is None:
                self._again.append(trial.number)
            else:
                _logger.info("recipe %d is run again by NNI", trial.number)

    def _settle(self) -> None:
        """Tell the study of trials that ended without a word to the tuner."""
        for trial in self._running():
            parameter_id = trial.user_attrs.get(PARAMETER_ID)
            if parameter_id is None or trial.number in self._again:
                continue
            known = self.reported(parameter_id, trial.params)
            if known and TRIAL not in trial.user_attrs:
                self._note(trial, TRIAL, known.trial)
            since = self._ended.get(trial.number)
            late = since is not None and time.monotonic() - since > LATE_SECONDS
            if known and known.ended and time.time() - known.ended > LATE_SECONDS:
                late = True
            if known and (known.result is not None or (not known.alive and known.event != "SUCCEEDED")):
                self._tell(trial, known, known.result)
            elif late:
                self._tell(trial, known or Reported(), None)

    def _running(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in trials if REPEATS not in trial.user_attrs]

    def _tell(self, trial: FrozenTrial, known: Reported, result: float | None, why: str = "") -> None:
        """Tell the study, once, how a trial ended. Of a stopped one the last score stands for its value
        there."""
        scores = [(epoch, value) for epoch, value in enumerate(known.curve) if value == value]
        if result is not None:
            state = TrialState.COMPLETE
        elif known.event in STOPPED:
            state = TrialState.PRUNED
            why = self._stopped.get(known.trial) or STOPPED[known.event]
        else:
            state = TrialState.FAIL
            why = why or ("no final score" if known.event in ("SUCCEEDED", "") else "failed")
        for epoch, value in scores:
            self.study._storage.set_trial_intermediate_value(trial._trial_id, epoch, value)
        attributes = {TRIAL: known.trial, SECONDS: known.seconds, WHY: why}
        for key, attribute in attributes.items():
            if attribute:
                self._note(trial, key, attribute)
        self.study.tell(trial.number, result, state=None if result is not None else state)
        self._ended.pop(trial.number, None)
        self._remember(self._trial(trial.number))
        _logger.info(
            "recipe %d: %s%s%s", trial.number, state.name.lower(),
            "" if result is None else f", {result:.4f}", f", {why}" if why else "",
        )  # fmt: skip

    def _import(self, point: Any, result: float | None) -> None:
        if result is None or not isinstance(point, Mapping):
            _logger.warning("imported without a score: %s", point)
            return
        try:
            params = self.space.params(point)
        except ValueError as error:
            _logger.warning("an imported recipe does not fit the search space: %s", error)
            return
        number = self._tried.get(_key(params))
        if number is not None and not (trial := self._trial(number)).state.is_finished():
            self._tell(trial, Reported(), result)
        elif number is None:
            distributions: dict[str, BaseDistribution] = {n: self.space[n].distribution for n in params}
            self.study.add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=distributions, value=result, user_attrs={CHOSEN: "imported"}
                )
            )
            self._remember(self.study.get_trials(deepcopy=False)[-1])

    def _note(self, trial: FrozenTrial, key: str, value: Any) -> None:
        self.study._storage.set_trial_user_attr(trial._trial_id, key, value)

    def _from_nni(self, parameter_id: int, params: Params) -> Reported | None:
        return reported(self._folder, self.space, parameter_id, params) if self._folder else None

    def _write(self) -> None:
        """Write chosen.csv, and what changed in the study to the disk."""
        for trial in self.study.get_trials(deepcopy=False):
            if (
                trial.number not in self._written
                and trial.state != TrialState.WAITING
                and REPEATS not in trial.user_attrs
            ):
                self._rows[trial.number] = _chosen(trial)
                if trial.state.is_finished():
                    self._written.add(trial.number)
        if not self._folder:
            return
        try:
            write_chosen(self._folder, self._rows.values())
            if journal := journal_of(self.study):
                journal.sync()
        except OSError as error:
            _logger.warning("%s can't be written: %s", error.filename or "the study", error)


class CannotWin(Assessor):
    """Stops a trial for good if it can't win any more, by the bound of `tuners.bound.Bound`, whose arguments
    it takes.

    It works with the tuner Search, whose study has the finished trials.
    """

    def __init__(self, z: float = 5.0, margin: float = 0.01, min_finished: int = 12, start_epoch: int = 2):
        if Search.latest is None:
            raise UsageError("CannotWin works with the tuner tuners.search.Search only")
        self._search = Search.latest
        self._bound = Bound(z, margin, min_finished, start_epoch)

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        curve = [score(value) for value in trial_history]
        if any(value is None for value in curve):
            return AssessResult.Good
        stop = self._search.reason_to_stop(
            trial_job_id, [value for value in curve if value is not None], self._bound
        )
        return AssessResult.Bad if stop else AssessResult.Good


def experiment_folder() -> Path | None:
    """The folder of the experiment whose dispatcher this process is; None if it is none."""
    log = os.environ.get("NNI_LOG_DIRECTORY")
    return Path(log).parent if log else None


def _key(params: Params) -> Any:
    return tuple(sorted(params.items()))


def _chosen(trial: FrozenTrial) -> Chosen:
    attributes = trial.user_attrs
    predicted = attributes.get(PREDICTED) or (None, None)
    return Chosen(
        number=trial.number,
        parameter_id=attributes.get(PARAMETER_ID),
        trial=attributes.get(TRIAL, ""),
        chosen_by=attributes.get(CHOSEN, ""),
        expected_improvement=attributes.get(IMPROVEMENT),
        predicted=predicted[0],
        deviation=predicted[1],
        state=trial.state.name.lower(),
        score=trial.value if trial.state == TrialState.COMPLETE else None,
        epochs=len(trial.intermediate_values),
        why=attributes.get(WHY, ""),
    )
