"""What a search that was killed has at its end, against what was seen before each kill."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.trials.chosen import read_chosen
from analysis.trials.outcomes import outcomes
from analysis.trials.table import Experiment, trial_table
from benchmarks.kills.processes import at_work
from common.errors import UsageError
from common.files import sha256_of
from trial.run_folder.record import RunFolder

RECIPE = ["learning_rate", "weight_decay"]  # the columns of what is searched


@dataclass
class Seen:
    """What was there before the kills: `finished`: {trial: its mark}, `epochs`: {trial: {seconds of each of
    its epochs}}, which tell an epoch from the same one trained another time; `half`: how many trials had
    trained some of their epochs at a kill."""

    finished: dict[str, Any] = field(default_factory=dict)
    epochs: dict[str, set[float]] = field(default_factory=dict)
    half: int = 0

    def look(self, experiment: Path) -> None:
        for run in experiment.glob("trials/*"):
            if mark := _mark(run):
                self.finished.setdefault(run.name, mark)
            self.epochs.setdefault(run.name, set()).update(_seconds(run))
        self.half += sum(status["epochs"] > 0 for status in at_work(experiment).values())


def _mark(run: Path) -> Any:
    """Score, weights and recipe of a finished trial; None of another one."""
    folder = RunFolder(run)
    status = folder.status()
    if status["state"] != "done":
        return None
    recipe = folder.config().recipe()
    return status["score"], [sha256_of(path) for path in folder.weights_files()], recipe


def _seconds(run: Path) -> list[float]:
    try:
        return list(RunFolder(run).epochs()["seconds"])
    except (FileNotFoundError, UsageError):
        return []


@dataclass(frozen=True)
class Counts:
    """Of one search or of all. `half`: trials that were half-done at a kill; `finished`: trials; `lost`,
    `doubled`: a sentence for each fault; `orphaned`: processes left; `again`: epochs that were trained a
    second time; `leftovers`: half-written files."""

    kills: list[str]
    half: int = 0
    finished: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphaned: int = 0
    again: int = 0
    leftovers: list[str] = field(default_factory=list)

    def __add__(self, other: "Counts") -> "Counts":
        names = [field.name for field in fields(Counts)]
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def faults(self) -> int:
        return len(self.lost) + len(self.doubled) + self.orphaned + len(self.leftovers)

    def line(self) -> str:
        # The rule of three: none in n kills is compatible with up to 3/n of them, at 95 % confidence.
        none = not self.faults and len(self.kills) >= 3
        bound = f"; so faults after less than {300 / len(self.kills):.1f} % of kills (95 %)" if none else ""
        return (
            f"{len(self.kills)} kills, {self.half} trials half-done at them, {self.finished} finished: "
            f"{len(self.lost)} lost, {len(self.doubled)} doubled, {self.orphaned} processes orphaned, "
            f"{len(self.leftovers)} half files left; {self.again} epochs were trained a second time{bound}"
        )


def count(
    experiment: Path, kills: Sequence[str], seen: Seen, orphaned: int, asked: int, of_trainings: bool
) -> Counts:
    """What the search in `experiment` has. `asked`: how many trials it was asked for, or `of_trainings`, how
    many trainings' epochs."""
    table = trial_table(Experiment(experiment.name, "", experiment))
    done = table[table["state"] == "done"]
    lost = [f"{row['trial']} is {row['state']}: {row['reason']}" for _, row in _faulty(table, of_trainings)]
    lost += [
        f"{trial} was finished and is another one now" for trial, mark in seen.finished.items()
        if _mark(experiment / "trials" / trial) != mark
    ]  # fmt: skip
    spent = table["epochs_done"].sum() / _epochs(experiment)
    enough = spent >= asked - 1 if of_trainings else len(done) >= asked
    if not enough:
        lost.append(f"{len(done)} trials, {spent:.2f} trainings, of {asked} asked for")
    doubled = [f"recipe of {row['trial']}" for _, row in table[table.duplicated(RECIPE)].iterrows()]
    doubled += [f"number {number}" for number in table.loc[table.duplicated("sequence"), "sequence"]]
    if not of_trainings and len(table) > asked:
        doubled.append(f"{len(table)} trials, asked for {asked}")
    standing = {
        one.recorded.trial: last.run.folder
        for last in outcomes(experiment)
        for one in (last, *last.earlier)
    }  # fmt: skip
    again = 0
    for trial, folder in standing.items():
        epochs = RunFolder(folder).epochs()["epoch"] if _seconds(folder) else pd.Series(dtype=int)
        doubled += [f"epoch {epoch} of {trial}" for epoch in epochs[epochs.duplicated()]]
        again += len(seen.epochs.get(trial, set()) - set(_seconds(folder)))
    told = [row.trial for row in read_chosen(experiment) if row.state == "complete"]
    doubled += [
        f"the search knows {trial} {told.count(trial)} times" for trial in set(told) if told.count(trial) > 1
    ]
    lost += [f"the search does not know {trial}" for trial in set(done["trial"]) - set(told)]
    doubled += [
        f"the search knows {trial}, which is not finished" for trial in set(told) - set(done["trial"])
    ]
    return Counts(
        list(kills),
        seen.half,
        len(done),
        lost,
        doubled,
        orphaned,
        again,
        [str(path) for path in _half(experiment.parent)],
    )


def _faulty(table: pd.DataFrame, of_trainings: bool) -> Iterable[tuple[Any, pd.Series]]:
    """Trials that have not ended as they should: those that are not done, or paused."""
    good = ("done", "paused") if of_trainings else ("done",)
    return table[~table["state"].isin(good)].iterrows()


def _epochs(experiment: Path) -> float:
    planned = [RunFolder(path.parent).config().epochs for path in experiment.glob("trials/*/config.json")]
    return planned[0] if planned else math.inf


def _half(folder: Path) -> list[Path]:
    return [*folder.rglob(".*.part"), *folder.rglob("*.tmp")]
