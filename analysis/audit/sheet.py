"""Run folders -> their suspected labels: a page of pictures to look at, a table, and a corrections file."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.audit.reading import config_of, of_other_data
from analysis.report.page import write_page
from analysis.report.pictures import displayed
from analysis.trials.runs import runs_in
from analysis.trust import audited as kept
from analysis.trust.answers import read_probabilities
from analysis.trust.labels import suspects
from common.errors import UsageError, all_at_once
from common.files import only_writer_of_out, refuse_taken, write_sheet
from common.text import path_text
from dataset.face_masks import corrections
from dataset.face_masks.labels import FACE_MASK
from dataset.read import Labelled, corrected, scan_train
from dataset.task import Task
from trial.config import TrialConfig
from trial.run_folder.predictions import probabilities_of
from trial.run_folder.record import VALIDATION

MAX_SHOWN = 60  # suspects of one factor on the page
MAX_PHOTOS, EXAMPLE_PHOTOS = 8, 3  # of one group: on the page, and in a report
PAGE, TABLE, CORRECTIONS = "labels.html", "suspects.csv", "corrections.csv"


@dataclass(frozen=True)
class Audit:
    """`suspects` as `labels.suspects`; `audited` of `groups` groups were validated by a run."""

    task: Task
    suspects: pd.DataFrame
    audited: int
    groups: int
    out: Path

    @property
    def flagged(self) -> pd.DataFrame:
        """Those that confident learning counts among the errors."""
        return self.suspects[self.suspects["flagged"].astype(bool)]

    def lines(self) -> list[str]:
        """For people: `findings`, and where they lie."""
        lines = [*self.findings(), f"page: {self.out / PAGE}", f"table: {self.out / TABLE}"]
        if len(self.flagged):
            lines.append(
                f"suggested corrections: {self.out / CORRECTIONS} (look at the page, then remove wrong ones)"
            )
        return lines

    def findings(self) -> list[str]:
        """What was found, as sentences."""
        lines = [f"audited: the labels of {self.audited:,} of {self.groups:,} {self.task.groups}"]
        if self.audited < self.groups:
            lines.append(f"note: a run with fold=all audits all {self.task.groups}")
        for factor, some in self.flagged.groupby("factor", sort=False):
            lines.append(f"{factor}: {len(some):,} suspicious {_what(some, self.task)}; most: {_most(some)}")
        if self.flagged.empty:
            lines.append("no label is suspicious")
        return lines


def _what(some: pd.DataFrame, task: Task) -> str:
    """What these suspects are: 'photos', 'person'."""
    one, more = ("photo", "photos") if some["photo"].all() else (task.group, task.groups)
    return one if len(some) == 1 else more


def _most(some: pd.DataFrame) -> str:
    first = some.iloc[0]
    which, sure = first["photo"] or first["group"], f"{first['probability']:.0%}"
    return f"{which}, {first['recorded']}, rather {first['suggested']} ({sure})"


@only_writer_of_out
def audit_labels(runs: Sequence[Path], out: Path, data: Path | None = None) -> Audit:
    """Write OUT/labels.html, suspects.csv and, if a label is suspicious, corrections.csv.

    The probabilities of all runs for a photo are averaged; a folder with best/ stands for the runs in it.
    `data`: where the runs' photos are, by default where they were. UsageError with all that is wrong with the
    runs: damaged, of other photos, labels or groups than those in `data`; and if there is nothing to compare.
    """
    refuse_taken(out)
    runs = [run for folder in runs for run in runs_in(folder) or [folder]]
    config, *tables = all_at_once(
        partial(config_of, runs[0]), *(partial(read_probabilities, run) for run in runs)
    )
    data = data or Path(config.data)
    read = scan_train(data, config.group)
    if read.errors:
        raise UsageError(
            [
                f"the photos of {runs[0]}, to look at them, are read from {data}; --data names another place",
                *read.errors,
            ]
        )
    raw = read.table
    task, photos = read.task, corrected(read.task, raw, config.corrections)
    differ = [
        of_other_data(run, Labelled(task, photos), table) for run, table in zip(runs, tables, strict=True)
    ]
    if errors := [one for one in differ if one]:
        raise UsageError(errors)
    mean = pd.concat(tables).drop(columns=["group", "label"]).groupby("photo").mean()
    audited = photos[photos["photo"].isin(mean.index)]
    if audited["group"].nunique() < 2:
        raise UsageError(
            f"{runs[0] / VALIDATION}: holds one {task.group} only; labels are compared with those of others"
        )
    found = suspects(task, audited, probabilities_of(mean.loc[audited["photo"]]))
    audit = Audit(task, found, audited["group"].nunique(), photos["group"].nunique(), out)
    out.mkdir(parents=True, exist_ok=True)
    write_sheet(out / TABLE, found.round(4))
    if len(audit.flagged):
        write_sheet(out / CORRECTIONS, _entries(task, raw, audit.flagged))
    _write_page(audit, audited, runs, config)
    kept.keep(out, kept.LABELS, audit.findings(), data, runs, PAGE, _examples(audit, audited))
    return audit


def _entries(task: Task, raw: pd.DataFrame, flagged: pd.DataFrame) -> pd.DataFrame:
    """The rows of a corrections file; of other tasks than the home one, which has a reader for it, for a
    person to apply."""
    if task.name == FACE_MASK.name:
        return corrections.entries_of(raw, flagged)
    rows = flagged.assign(id=flagged["photo"].where(flagged["photo"] != "", flagged["group"]))
    return rows.rename(columns={"factor": "field", "suggested": "corrected"})[corrections.COLUMNS]


def _write_page(audit: Audit, photos: pd.DataFrame, runs: Sequence[Path], config: TrialConfig) -> None:
    kinds = []
    for factor, some in audit.flagged.groupby("factor", sort=False):
        shown = some.head(MAX_SHOWN)
        kinds.append({
            "title": factor, "of": _what(some, audit.task), "number": len(some),
            "more": len(some) - len(shown),
            "cards": [_card(one, photos, audit.task) for one in shown.itertuples()],
        })  # fmt: skip
    write_page(
        audit.out / PAGE, "labels.html.j2", audit=audit, task=audit.task, kinds=kinds,
        flagged=len(audit.flagged),
        unsure=len(audit.suspects) - len(audit.flagged), runs=[str(run) for run in runs],
        corrections=CORRECTIONS, corrections_path=path_text(audit.out / CORRECTIONS),
        home=audit.task.name == FACE_MASK.name, table=TABLE, own=config.corrections,
    )  # fmt: skip


def _examples(audit: Audit, photos: pd.DataFrame) -> list[kept.Example]:
    """The most suspicious of each factor in turn."""
    place = audit.flagged.groupby("factor", sort=False).cumcount().sort_values(kind="stable").index
    found = []
    for one in audit.flagged.loc[place].head(kept.MAX_EXAMPLES).itertuples():
        rows = _photos_of(one, photos).head(EXAMPLE_PHOTOS)
        of = f", {one.agree} of {one.photos} photos" if one.photos > 1 else ""
        words = f"{one.factor} {one.recorded}, rather {one.suggested} ({one.probability:.0%}{of})"
        found.append(
            kept.Example(one.photo or one.group, words, tuple(zip(rows["path"], rows["photo"], strict=True)))
        )
    return found


def _photos_of(one, photos: pd.DataFrame) -> pd.DataFrame:
    """The rows of a suspect: its photo, or its group's."""
    return photos[photos["photo"] == one.photo] if one.photo else photos[photos["group"] == one.group]


def _card(one, photos: pd.DataFrame, task: Task) -> dict:
    rows = _photos_of(one, photos)
    titles = rows["photo"]
    bands = task.bands.get(one.factor)
    number = f" ({bands.text(rows[bands.column].iloc[0])})" if bands and len(rows) else ""
    return {
        "where": one.photo or one.group, "recorded": one.recorded + number, "suggested": one.suggested,
        "probability": one.probability, "score": one.score, "agree": one.agree, "photos": one.photos,
        "pictures": displayed(rows["path"][:MAX_PHOTOS], titles[:MAX_PHOTOS]),
    }  # fmt: skip
