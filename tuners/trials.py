"""The trials of a search's study: what is told of each, as what it was, and once.

A recipe has one trial in the study, however many trials of NNI train it. Paused, it is WAITING there, with
its curve and the attribute PAUSED: Optuna's dashboard shows it as that, at any time and after any kill, and
it can run again, which a finished trial can't.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from tuners.chosen import PAUSED as PAUSED_STATE
from tuners.chosen import Chosen, write_chosen
from tuners.model.curves import STINTS
from tuners.model.sampler import CHOSEN, EPOCHS, IMPROVEMENT, PREDICTED, REPEATS, SECONDS, STARTING
from tuners.reports import Reported
from tuners.spaces.parameter import Params
from tuners.spaces.space import Space, recipe_key
from tuners.study import journal_of

# User attributes of a trial in the study. PARAMETER_ID and TRIAL: NNI's ids of its latest trial;
# GOES_ON_FROM: of the one that this goes on from; PAUSES: why it is being paused; PAUSED: whether it is;
# WENT_ON: how often it went on; BEFORE: seconds of its earlier trials; IN_VAIN: epochs known, and how many
# starts in a row were ended from outside without one more; NNI's id of the last of these.
PARAMETER_ID, TRIAL, GOES_ON_FROM, WHY, QUEUED = "parameter_id", "nni_trial", "parent", "why", "queued_as"
PAUSES, PAUSED, WENT_ON, BEFORE = "pauses", "paused", "went_on", "seconds_before"
IN_VAIN = "starts_in_vain"
STOPPED = {
    "EARLY_STOPPED": "stopped by the assessor, or at maxTrialDuration",
    "USER_CANCELED": "stopped by a person",
    "SYS_CANCELED": "stopped by NNI",
}
INTERRUPTED = "interrupted"
STARTS = 3  # in a row without one epoch more, after which a recipe has failed: it may be what ends them
STORING_SECONDS = 0.5
LATE_SECONDS = 30.0  # a final result, or another machine's status, may follow a trial's end; by then it has

_logger = logging.getLogger("tuners.search")
Ask = Callable[[int, Params, str | None], Reported | None]


class Trials:
    """The trials of `study`. `ask`: what is known of NNI's trial of a suggestion, by its parameter id, its
    params and its parent; `folder`: where chosen.csv is written, None: nowhere."""

    def __init__(self, study: optuna.Study, space: Space, folder: Path | None, ask: Ask):
        self.study, self.space = study, space
        self._folder, self._ask = folder, ask
        self.pauses = False  # whether trials that NNI stops may go on
        self.again: list[int] = []  # numbers of trials that were chosen but never began
        self.tried: dict[Any, int] = {}  # numbers by recipe
        self.curves: list[tuple[float, ...]] = []  # of finished trials
        self.finals: list[float] = []
        self.reasons: dict[str, str] = {}  # why trials are stopped, by NNI's id
        self.rows: dict[int, Chosen] = {}  # of chosen.csv, by number
        self._numbers: dict[int, int] = {}  # by NNI's parameter id
        self._ended: dict[int, float] = {}  # when trials ended without a result so far, by number
        self._results: set[int] = set()  # numbers of trials whose result was received
        self._written: set[int] = set()  # numbers whose rows change no more
        for trial in self.all():
            self._remember(trial)

    # Which there are

    def all(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def __getitem__(self, number: int) -> FrozenTrial:
        return self.all()[number]

    def of(self, parameter_id: int) -> FrozenTrial | None:
        """The trial that has NNI's parameter id now; None of another search's, and of one whose recipe went
        on under another id."""
        number = self._numbers.get(parameter_id)
        trial = None if number is None else self[number]
        return trial if trial and trial.user_attrs.get(PARAMETER_ID) == parameter_id else None

    def of_nni(self, name: str) -> tuple[FrozenTrial, Reported] | None:
        """The running trial that NNI calls so, and what is known of it."""
        for trial in self.running():
            known = self.known(trial)
            if known and known.trial == name:
                return trial, known
        return None

    def running(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in trials if REPEATS not in trial.user_attrs]

    def _waiting(self, paused: bool) -> list[FrozenTrial]:
        # Not get_trials(states=...): Optuna looks for waiting trials from where it found the last one on.
        waiting = (trial for trial in self.all() if trial.state == TrialState.WAITING)
        return [trial for trial in waiting if bool(trial.user_attrs.get(PAUSED)) == paused]

    def queued(self) -> list[FrozenTrial]:
        return self._waiting(False)

    def paused(self) -> list[FrozenTrial]:
        return self._waiting(True)

    def known(self, trial: FrozenTrial) -> Reported | None:
        """What NNI knows of the latest trial of a recipe; None if none has begun."""
        parameter_id = trial.user_attrs.get(PARAMETER_ID)
        if parameter_id is None:
            return None
        return self._ask(parameter_id, trial.params, trial.user_attrs.get(GOES_ON_FROM))

    def trainings(self, pausing: int | None = None) -> float:
        """How many whole trainings' worth of epochs were spent, with those running as if they ran to their
        ends; the running trial `pausing` counts as paused."""
        return sum(_trainings(trial, trial.number == pausing) for trial in self.all())

    # What is begun

    def queue(self, params: Params, word: str) -> None:
        if all(trial.system_attrs["fixed_params"] != params for trial in self.queued()):
            self.study.enqueue_trial(params, user_attrs={QUEUED: word})

    def ask(self) -> FrozenTrial | None:
        """A new trial of the study; None if its recipe was tried before."""
        study = self.study
        if queued := self.queued():  # study.ask() would take a paused one
            identity = queued[0]._trial_id
            study._storage.set_trial_state_values(identity, TrialState.RUNNING)
        else:
            identity = study._storage.create_new_trial(study._study_id)
        study._thread_local.cached_all_trials = None
        asked = optuna.Trial(study, identity)
        self.space.ask(asked)
        trial = self[asked.number]
        before = self.tried.setdefault(recipe_key(trial.params), trial.number)
        if before != trial.number:
            self.note(trial, REPEATS, before)
            study.tell(trial.number, state=TrialState.FAIL)
            return None
        return trial

    def go_on(self, number: int) -> FrozenTrial:
        """A paused trial, running again."""
        if known := self.known(self[number]):
            self.report(self[number], known)  # an epoch may have been reported after it had ended
        trial = self[number]
        attributes = trial.user_attrs
        changes: dict[str, Any] = {
            PAUSED: False,
            PAUSES: "",
            WHY: "",
            PARAMETER_ID: None,
            GOES_ON_FROM: attributes[TRIAL],
            BEFORE: attributes.get(SECONDS, 0.0),
            WENT_ON: attributes.get(WENT_ON, 0) + 1,
        }
        for key, value in changes.items():
            self.note(trial, key, value)
        self.study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        return self[number]

    def begin(self, trial: FrozenTrial, parameter_id: int) -> None:
        self._numbers[parameter_id] = trial.number
        self.note(trial, PARAMETER_ID, parameter_id)

    # What is told

    def note(self, trial: FrozenTrial, key: str, value: Any) -> None:
        self.study._storage.set_trial_user_attr(trial._trial_id, key, value)

    def _note_name(self, trial: FrozenTrial, known: Reported) -> None:
        """Note NNI's id of a trial that has begun: a recipe that went on is no longer paused then."""
        if known.trial and trial.user_attrs.get(TRIAL) != known.trial:
            self.note(trial, TRIAL, known.trial)

    def report(self, trial: FrozenTrial, known: Reported) -> None:
        """Note the curve of a trial so far, and what it cost."""
        for epoch, value in enumerate(known.curve):
            if value == value and trial.intermediate_values.get(epoch) != value:
                self.study._storage.set_trial_intermediate_value(trial._trial_id, epoch, value)
        if known.seconds:
            trained = known.seconds - known.starting
            self.note(trial, SECONDS, trial.user_attrs.get(BEFORE, 0.0) + trained)
        facts = {TRIAL: known.trial, EPOCHS: known.epochs, STARTING: round(known.starting, 1)}
        for key, fact in facts.items():
            if fact and trial.user_attrs.get(key) != fact:
                self.note(trial, key, fact)

    def result(self, parameter_id: int, value: float | None) -> None:
        """A final result was received, None: one that is no score."""
        trial = self.of(parameter_id)
        if trial is None:
            _logger.warning("a result of parameters %s, which this search did not suggest", parameter_id)
        elif trial.number in self._results:
            _logger.warning("a second result of parameters %s is ignored", parameter_id)
        else:
            self._results.add(trial.number)
            if value is None:
                _logger.warning("the result of parameters %s is not a score", parameter_id)
            if not trial.state.is_finished():
                self._tell(trial, self._wait_for_last_reports(trial), value)

    def _wait_for_last_reports(self, trial: FrozenTrial) -> Reported:
        """What is known of a trial whose result has come. NNI may store its last reports a moment later."""
        known = self.known(trial) or Reported()
        end = time.monotonic() + STORING_SECONDS
        while len(known.curve) < (known.epochs or 0) and time.monotonic() < end:
            time.sleep(STORING_SECONDS / 10)
            known = self.known(trial) or known
        return known

    def end(self, parameter_id: int, success: bool) -> None:
        """NNI's trial has ended."""
        trial = self.of(parameter_id)
        if trial is None or trial.state != TrialState.RUNNING:
            return
        known = self.known(trial) or Reported()
        self._note_name(trial, known)
        if (success and known.result is None) or known.unclear:
            self._ended[trial.number] = time.monotonic()  # its result or status may still be on its way
        else:
            self._end(trial, known)

    def settle(self) -> None:
        """Tell the study of trials that ended without a word to the tuner."""
        for trial in self.running():
            if trial.user_attrs.get(PARAMETER_ID) is None or trial.number in self.again:
                continue
            known = self.known(trial)
            self._note_name(trial, known or Reported())
            since = self._ended.get(trial.number)
            late = since is not None and time.monotonic() - since > LATE_SECONDS
            if known and known.ended and time.time() - known.ended > LATE_SECONDS:
                late = True
            is_over = known and not known.alive and known.event != "SUCCEEDED" and (late or not known.unclear)
            if known and (known.result is not None or is_over):
                self._end(trial, known)
            elif late:
                self._tell(trial, known or Reported(), None)

    def take_up(self) -> None:
        """Reconcile the trials that an earlier process left running with what NNI knows of them."""
        self.settle()
        for trial in self.paused():
            if (known := self.known(trial)) and known.alive:  # it was interrupted, and is run again
                self.note(trial, PAUSED, False)
                self.study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        for trial in self.running():
            if not self.space.holds(trial.params):
                self._tell(trial, Reported(), None, "the process ended before all its values were chosen")
                if QUEUED in trial.user_attrs:
                    self.queue(trial.system_attrs["fixed_params"], trial.user_attrs[QUEUED])
            elif self.known(trial) is None:
                self.again.append(trial.number)
            else:
                self.note(trial, PAUSES, "")  # it was killed before it was paused
                _logger.info("recipe %d is run again by NNI", trial.number)

    def add(self, params: Params, result: float) -> None:
        """A result that a person imports, or that NNI hands on after a resume."""
        number = self.tried.get(recipe_key(params))
        if number is None:
            distributions: dict[str, BaseDistribution] = {n: self.space[n].distribution for n in params}
            self.study.add_trial(
                optuna.trial.create_trial(
                    params=params, distributions=distributions, value=result, user_attrs={CHOSEN: "imported"}
                )
            )
            self._remember(self.all()[-1])
        elif not (trial := self[number]).state.is_finished():
            self._tell(trial, self.known(trial) or Reported(), result)

    def _end(self, trial: FrozenTrial, known: Reported) -> None:
        by_us = known.event == "EARLY_STOPPED" and trial.user_attrs.get(PAUSES)
        by_nni = known.event == "SYS_CANCELED" and self.pauses  # at the end of an experiment
        if known.result is None and known.interrupted and self._in_vain(trial, known) >= STARTS:
            epochs = max(len(known.curve), len(trial.intermediate_values))
            epoch = f"after {known.unit} {epochs}" if epochs else f"before its first {known.unit}"
            self._tell(trial, known, None, f"{INTERRUPTED} {STARTS} times {epoch}")
        elif known.result is None and known.interrupted and not known.curve:  # nothing to go on from
            self._ended.pop(trial.number, None)
            if trial.number not in self.again:
                self.again.append(trial.number)
        elif known.result is None and known.trial and (by_us or by_nni or known.interrupted):
            self._pause(trial, known, trial.user_attrs.get(PAUSES) or STOPPED.get(known.event, INTERRUPTED))
        else:
            self._tell(trial, known, known.result)

    def _in_vain(self, trial: FrozenTrial, known: Reported) -> int:
        """How many starts in a row, with this one, were interrupted without an epoch more."""
        before, starts, last = trial.user_attrs.get(IN_VAIN, (0, 0, ""))
        if known.trial != last:  # after a restart it is looked at again
            epochs = max(len(known.curve), before)
            starts = 1 if epochs > before else starts + 1
            self.note(trial, IN_VAIN, (epochs, starts, known.trial))
        return int(starts)

    def _pause(self, trial: FrozenTrial, known: Reported, why: str) -> None:
        self.report(trial, known)
        self.note(trial, WHY, why)
        self.note(trial, PAUSED, True)
        self.study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self._ended.pop(trial.number, None)
        _logger.info("recipe %d: %s", trial.number, why)

    def _tell(self, trial: FrozenTrial, known: Reported, result: float | None, why: str = "") -> None:
        """Tell the study, once, how a trial ended. Of a stopped one the last score stands for its value
        there."""
        if result is not None:
            state = TrialState.COMPLETE
        elif known.event in STOPPED:
            state = TrialState.PRUNED
            why = self.reasons.get(known.trial) or STOPPED[known.event]
        else:
            state = TrialState.FAIL
            why = why or ("no final score" if known.event in ("SUCCEEDED", "") else "failed")
        self.report(trial, known)
        if why:
            self.note(trial, WHY, why)
        if trial.state == TrialState.WAITING:  # a result that came after it was paused
            self.note(trial, PAUSED, False)
            self.study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        self.study.tell(trial.number, result, state=None if result is not None else state)
        self._ended.pop(trial.number, None)
        self._remember(self[trial.number])
        _logger.info(
            "recipe %d: %s%s%s", trial.number, state.name.lower(),
            "" if result is None else f", {result:.4f}", f", {why}" if why else "",
        )  # fmt: skip

    def _remember(self, trial: FrozenTrial) -> None:
        if self.space.holds(trial.params) and REPEATS not in trial.user_attrs:
            self.tried.setdefault(recipe_key(trial.params), trial.number)
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            self.finals.append(trial.value)
            self.curves.append(tuple(value for _, value in sorted(trial.intermediate_values.items())))

    # What is written

    def write(self) -> None:
        """Write chosen.csv, and what changed in the study to the disk."""
        for trial in self.all():
            is_queued = trial.state == TrialState.WAITING and not trial.user_attrs.get(PAUSED)
            if trial.number not in self._written and not is_queued and REPEATS not in trial.user_attrs:
                self.rows[trial.number] = _chosen(trial)
                if trial.state.is_finished():
                    self._written.add(trial.number)
        if not self._folder:
            return
        try:
            write_chosen(self._folder, self.rows.values())
            if journal := journal_of(self.study):
                journal.sync()
        except OSError as error:
            _logger.warning("%s can't be written: %s", error.filename or "the study", error)


def _trainings(trial: FrozenTrial, pausing: bool) -> float:
    """What a trial takes of `trainings`: a running one a whole, others the fraction of the epochs trained."""
    if REPEATS in trial.user_attrs or trial.user_attrs.get(CHOSEN) == "imported":
        return 0.0
    if trial.state == TrialState.RUNNING and not pausing:
        return 1.0
    if trial.state == TrialState.FAIL and PARAMETER_ID not in trial.user_attrs:
        return 0.0  # it never began
    fraction = len(trial.intermediate_values) / trial.user_attrs.get(EPOCHS, 1)
    if trial.state == TrialState.COMPLETE:
        fraction = fraction or 1.0  # nothing is known of its epochs
    # A failure costs something, or a space in which all fails would never end.
    return max(fraction, 1 / STINTS) if trial.state == TrialState.FAIL else min(fraction, 1.0)


def _is_paused(trial: FrozenTrial) -> bool:
    """Whether a recipe is paused: its trial is, is being stopped for it, or is to go on and has not begun."""
    attributes = trial.user_attrs
    parent = attributes.get(GOES_ON_FROM)
    to_begin = parent is not None and attributes.get(TRIAL) == parent
    is_running = trial.state == TrialState.RUNNING
    return trial.state == TrialState.WAITING or (is_running and (bool(attributes.get(PAUSES)) or to_begin))


def _chosen(trial: FrozenTrial) -> Chosen:
    attributes = trial.user_attrs
    is_paused = _is_paused(trial)
    predicted = attributes.get(PREDICTED) or (None, None)
    return Chosen(
        number=trial.number,
        parameter_id=attributes.get(PARAMETER_ID),
        trial=attributes.get(TRIAL, ""),
        chosen_by=attributes.get(CHOSEN, ""),
        expected_improvement=attributes.get(IMPROVEMENT),
        predicted=predicted[0],
        deviation=predicted[1],
        state=PAUSED_STATE if is_paused else trial.state.name.lower(),
        score=trial.value if trial.state == TrialState.COMPLETE else None,
        epochs=len(trial.intermediate_values),
        went_on=attributes.get(WENT_ON, 0),
        why=attributes.get(WHY) or (attributes.get(PAUSES, "") if is_paused else ""),
    )
