"""The leaders of an experiment: their intervals, what the first one promises, and which are its equals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.trust.answers import Answers, counts_of, read_answers
from analysis.trust.bootstrap import Interval, interval_of, intervals
from analysis.trust.confirmed import Confirmed
from analysis.trust.curves import curves_of
from analysis.trust.selection import Selection, select
from common.errors import UsageError, first_line
from common.text import few, fixed_text
from trial.metrics import column_of, title_of
from trial.run_folder.record import RunFolder

MAX_LEADERS = 50  # read and resampled; those behind them do not win in any resample
OF_TRIAL = "of_the_trial"  # in a promise for training on all groups: that of the trial, on fewer


@dataclass(frozen=True, eq=False)
class Leaders:
    """`runs`: the leaders' folders, best first. `intervals`: of the scores of those whose answers can be
    read. `selection`: the choice among `compared`, the runs validated on the same photos as the first, or one
    for each recipe that was trained several times (`repeated`), and their epochs; None if that is not known.
    `notes`: sentences on what could not be done. `confirmed`: what further folds say of the first ones, which
    then holds instead of the selection."""

    metric: str
    runs: tuple[Path, ...]
    intervals: Mapping[Path, Interval]
    compared: tuple[Path, ...] = ()
    selection: Selection | None = None
    notes: tuple[str, ...] = ()
    confirmed: Confirmed | None = None
    repeated: bool = False

    @property
    def promise(self) -> Interval | None:
        """The best one's score on new groups, corrected for having chosen it; None if unknown."""
        known = self.confirmed or self.selection
        return None if known is None else known.promise

    @property
    def chosen_from(self) -> int:
        """The number of runs that the promise is corrected for."""
        return len(self.confirmed.leaders if self.confirmed else self.compared)

    @property
    def best_of(self) -> str:
        """'the best of 20 trials'"""
        if self.repeated:
            return f"the best of {self.chosen_from} recipes, each trained several times,"
        return f"the best of {self.chosen_from} trials"

    @property
    def corrected_by(self) -> float:
        """How much higher the score was that the best one was chosen by."""
        if self.confirmed:
            return self.confirmed.corrected_by
        return 0.0 if self.selection is None else self.selection.flattered

    @property
    def equal(self) -> list[Path]:
        """The runs that are not significantly different from the best one, best first."""
        if self.confirmed:
            return self._runs(self.confirmed.equal)
        return [] if self.selection is None else [self.compared[one] for one in self.selection.equal]

    @property
    def behind(self) -> list[Path]:
        """The confirmed runs that are worse than the best one."""
        return self._runs(self.confirmed.behind) if self.confirmed else []

    def _runs(self, trials: Sequence[str]) -> list[Path]:
        by_name = {run.name: run for run in self.runs}
        return [by_name[trial] for trial in trials if trial in by_name]

    def facts(self) -> dict[str, Any]:
        """For submission.json: the promise with its interval, and the names of the equals; {} if unknown."""
        promise = self.promise
        if promise is None:
            return {}
        known = promise_of(promise, self.metric, self.chosen_from, self.corrected_by)
        facts: dict[str, Any] = {"promise": known, "equal_within_noise": [run.name for run in self.equal]}
        if self.confirmed:
            of = f"the best of {self.chosen_from} leaders" if self.chosen_from > 1 else "its epoch"
            known["choice"] = f"{of} on {self.confirmed.where}"
            facts["confirmed_on"] = [list(one) for one in self.confirmed.rounds]
        elif self.repeated:
            known["choice"] = f"{self.best_of} and their epochs"
        return facts


def leaders_of(
    runs: Sequence[Path], metric: str, repeats: tuple[tuple[Path, ...], Selection | None] | None = None
) -> Leaders:
    """What is known of these finished runs, ranked by `metric`, best first. Files that can't be read are left
    out and named in the notes. `repeats`: a run of each recipe that was trained several times, and the choice
    among these recipes, which then holds."""
    runs, notes, unread = tuple(runs)[:MAX_LEADERS], [], []
    read: dict[Path, Answers] = {}
    for run in runs:
        try:
            read[run] = read_answers(run)
        except UsageError as error:
            unread.append(first_line(error))
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        notes.append(f"no interval without a trial's validation answers: {unread[0]}{more}")
    alike: dict[bytes, list[Path]] = {}
    for run, answers in read.items():
        alike.setdefault(_photos(answers), []).append(run)
    found: dict[Path, Interval] = {}
    for some in alike.values():
        found |= dict(zip(some, intervals(counts_of([read[run] for run in some]), metric), strict=True))
    if repeats:
        return Leaders(metric, runs, found, *repeats, tuple(notes), repeated=True)
    first = next(iter(alike.values()), [])
    if len(alike) > 1:
        notes.append(
            f"{len(read) - len(first)} of the first {len(runs)} trials were validated on other photos than "
            "the first one, so the promise is not corrected for having chosen among them"
        )
    selection = None
    if first and first[0] == runs[0]:
        try:
            counts = counts_of([read[run] for run in first])
            selection = select(counts, metric, curves_of(first, metric))
        except UsageError as error:
            notes.append(f"the promise is not corrected for the choice: {first_line(error)}")
    return Leaders(metric, runs, found, tuple(first), selection, tuple(notes))


def interval_facts(run: Path, metric: str) -> dict[str, float]:
    """{"low", "high"}: the interval of a run's score; the numbers of "photos" and "groups" behind it. For
    submission.json. UsageError if its validation answers are missing or damaged."""
    answers = read_answers(run)
    found = interval_of(answers, metric)
    return {**found.limits(), "photos": len(answers.labels), "groups": found.n_groups}


def promise_of(promise: Interval, metric: str, chosen_from: int, corrected_by: float) -> dict[str, Any]:
    """A promise for JSON."""
    return {
        column_of(metric): round(promise.value, 4), **promise.limits(), "chosen_from": chosen_from,
        "corrected_by": round(corrected_by, 4), "groups": promise.n_groups, "absent_classes": promise.absent,
    }  # fmt: skip


def promise_facts(run: Path, metric: str) -> dict[str, Any]:
    """{"promise": what a single run promises on new groups}, corrected for the choice of its epoch (that of a
    soup is in its origin.json), for submission.json; {} if that is not known."""
    try:
        kept = RunFolder(run).origin().get("promise")
    except (FileNotFoundError, UsageError):
        kept = None
    if kept:
        return {"promise": kept}
    return {name: facts for name, facts in leaders_of([run], metric).facts().items() if name == "promise"}


def promised_words(promise: Mapping[str, Any], metric: str, groups: str) -> str:
    """The promise in a submission.json, for people. `groups`: the task's word."""
    limits = f"{fixed_text(promise['low'])} to {fixed_text(promise['high'])}"
    value, less = promise[column_of(metric)], promise.get("lowered_by", 0.0)
    option = f"{fixed_text(less)} that {promise['lowered_for']} loses on validation {groups}" if less else ""
    words = f"{title_of(metric)} {fixed_text(value)} ({limits}) on new {groups}, "
    if trial := promise.get(OF_TRIAL):
        curve = promise["learning_curve"]
        trained_on, scores = curve["trained_on"], curve["scores"]
        return (
            f"{words}trained on all {trained_on['all']:,}, by the learning curve: "
            f"{fixed_text(scores['smaller'])} with {trained_on['smaller']:,} {groups}, "
            f"{fixed_text(scores['trial'])} with the trial's {trained_on['trial']:,}"
            f"{option and f', less {option}'}; the trial promises {promised_words(trial, metric, groups)}"
        )
    many = promise.get("chosen_from", 1)
    of = f"the best of {many} trials and their epochs" if many > 1 else "its epoch"
    of = promise.get("choice", of)
    chosen_by = fixed_text(value + less + promise["corrected_by"])
    return f"{words}corrected from {chosen_by} for the choice of {of}{option and f', and by {option}'}"


def _photos(answers: Answers) -> bytes:
    """The same for answers to the same photos with the same labels."""
    names = np.char.add(np.char.add(answers.photos, "/"), answers.groups)
    return b"\n".join([names.tobytes(), answers.labels.tobytes(), bytes([answers.n_classes % 256])])


def promise_words(leaders: Leaders, numbers: Mapping[Path, Any], groups: str = "groups") -> str:
    """What the first one promises and who are its equals, for people; '' if that is not known. `numbers`: by
    what a trial is called ('#3'); `groups`: the task's word (people)."""
    promise, confirmed = leaders.promise, leaders.confirmed
    if promise is None:
        return ""
    seen = f"these {promise.n_groups:,} {groups}"
    whose, of = " of the best one", f"{leaders.best_of} and of their epochs"
    if confirmed:
        seen = f"the {promise.n_groups:,} {groups} of {confirmed.where}"
        of = f"the best of {leaders.chosen_from} leaders there"
    elif leaders.chosen_from == 1:
        whose, of = "", "at the best of its epochs"
    words = (
        f"Promise{whose} on new {groups}: {title_of(leaders.metric)} {promise}, corrected from "
        f"{fixed_text(promise.value + leaders.corrected_by)} for being {of}."
    )
    if equal := leaders.equal:
        words += f" On {seen} it is not significantly different from {_named(equal, numbers)}."
    if behind := leaders.behind:
        words += f" {'There' if equal else f'On {seen}'} it is better than {_named(behind, numbers)}."
    if absent := promise.absent:
        words += f" {absent} class{'es have' if absent > 1 else ' has'} no validation photo."
    return words


def _named(runs: Sequence[Path], numbers: Mapping[Path, Any]) -> str:
    return few([f"#{numbers[run]}" for run in runs])
