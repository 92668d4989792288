"""The leaders of an experiment: their intervals, what the first one promises, and which are its equals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.trust.answers import Answers, counts_of, read_answers
from analysis.trust.bootstrap import Interval, interval_of, intervals
from analysis.trust.curves import curves_of
from analysis.trust.selection import Selection, select
from common.errors import UsageError, first_line
from trial.metrics import column_of, title_of

MAX_LEADERS = 50  # read and resampled; those behind them do not win in any resample
NAMED = 5  # equals in a sentence


@dataclass(frozen=True, eq=False)
class Leaders:
    """`runs`: the leaders' folders, best first. `intervals`: of the scores of those whose answers can be
    read. `selection`: the choice among `compared`, the runs validated on the same photos as the first; None
    if there is nothing to choose from. `notes`: sentences on what could not be done."""

    metric: str
    runs: tuple[Path, ...]
    intervals: Mapping[Path, Interval]
    compared: tuple[Path, ...] = ()
    selection: Selection | None = None
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> list[Path]:
        """The runs that can't be told from the winner, best first."""
        return [] if self.selection is None else [self.compared[one] for one in self.selection.equal]

    def facts(self) -> dict[str, Any]:
        """For submission.json: the promise with its interval, and the names of the equals; {} if unknown."""
        if self.selection is None:
            return {}
        promise = self.selection.promise
        return {
            "promise": {
                column_of(self.metric): round(promise.value, 4), **promise.limits(),
                "chosen_from": len(self.compared),
                "corrected_by": round(self.selection.flattered, 4), "groups": promise.n_groups,
                "absent_classes": promise.absent,
            },
            "equal_within_noise": [run.name for run in self.equal],
        }  # fmt: skip


def leaders_of(runs: Sequence[Path], metric: str, seed: int = 0) -> Leaders:
    """What is known of these finished runs, ranked by `metric`, best first. Files that can't be read are left
    out and named in the notes."""
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
    first = next(iter(alike.values()), [])
    if len(alike) > 1:
        notes.append(
            f"{len(read) - len(first)} of the first {len(runs)} trials were validated on other photos than "
            "the first one, so the promise is not corrected for having chosen among them"
        )
    selection = None
    if len(first) > 1 and first[0] == runs[0]:
        try:
            selection = select(
                counts_of([read[run] for run in first]), metric, curves_of(first, metric), seed=seed
            )
        except UsageError as error:
            notes.append(f"the promise is not corrected for the choice: {first_line(error)}")
    return Leaders(metric, runs, found, tuple(first), selection, tuple(notes))


def interval_facts(run: Path, metric: str) -> dict[str, float]:
    """{"low", "high"}: the interval of a run's score, for submission.json. UsageError if its validation
    answers are missing or damaged."""
    return interval_of(read_answers(run), metric).limits()


def _photos(answers: Answers) -> bytes:
    """The same for answers to the same photos with the same labels."""
    names = np.char.add(np.char.add(answers.photos, "/"), answers.groups)
    return b"\n".join([names.tobytes(), answers.labels.tobytes(), bytes([answers.n_classes % 256])])


def promise_words(leaders: Leaders, numbers: Mapping[Path, Any], groups: str = "groups") -> str:
    """What the first one promises and who are its equals, for people; '' if that is not known. `numbers`: by
    what a trial is called ('#3'); `groups`: the task's word (people)."""
    found = leaders.selection
    if found is None:
        return ""
    promise, absent = found.promise, found.promise.absent
    words = (
        f"Promise of the best one on new {groups}: {title_of(leaders.metric)} {promise}, after a correction "
        f"by {found.flattered:.3f} for being the best of {len(leaders.compared)} trials and of their epochs."
    )
    if equal := leaders.equal:
        named = ", ".join(f"#{numbers[run]}" for run in equal[:NAMED])
        more = f" and {len(equal) - NAMED} more" if len(equal) > NAMED else ""
        words += f" These {promise.n_groups:,} {groups} can't tell it from {named}{more}."
    if absent:
        words += f" {absent} class{'es have' if absent > 1 else ' has'} no validation photo."
    return words
