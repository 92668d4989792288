"""Run folders without an experiment: found, and laid out as a trials table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.trials.table import find, recipe_columns, row_of, table_of, trial_table
from common.errors import UsageError
from common.nni_database import database
from trial.run_folder.record import RunFolder
from trial.run_folder.status import STATUS

NO_VALIDATION = "trained on all {groups}: no score to rank it by"
OTHER_GROUPS = (
    "note: these runs were not all validated on the same {groups} and labels (data, group, fold, folds, seed "
    "or corrections differ), so their scores compare only roughly"
)


def is_run(folder: Path) -> bool:
    """Whether it is a run folder, complete or not."""
    return folder.is_dir() and any((folder / name).exists() for name in ("config.json", STATUS))


def runs_in(folder: Path) -> list[Path]:
    """The run folders that `folder` stands for: itself, those in its best/ (as export-best-and-retrain writes
    them), or those in it; in the order of `sorted_in`."""
    if is_run(folder):
        return [folder]
    for place in (folder / "best", folder):
        if runs := [run for run in sorted_in(place) if is_run(run)]:
            return runs
    return []


def sorted_in(folder: Path) -> list[Path]:
    """The entries of a folder, by name, numbers by value; [] if there is no such folder."""
    held = folder.iterdir() if folder.is_dir() else ()
    return sorted(held, key=lambda path: (len(path.name) if path.name.isdigit() else 0, path.name))


def any_table(wanted: str) -> pd.DataFrame:
    """The trials table of an experiment (see `table.find`), of a folder of runs, or of one run. UsageError if
    it is none of these."""
    folder = Path(wanted)
    experiment = database(folder).is_file() or database(folder.parent).is_file()
    if not experiment and (runs := runs_in(folder)):
        return runs_table(runs)
    try:
        return trial_table(find(wanted))
    except UsageError as error:
        if folder.is_dir():
            raise UsageError(
                f"{folder} holds neither an experiment nor a run; give an experiment, a run folder, or a "
                "folder of runs such as out/runs"
            ) from None
        raise error from None


def runs_table(runs: Sequence[Path]) -> pd.DataFrame:
    """The trials table (see `table.trial_table`) of run folders, in the order of their start.
    `attrs["searched"]`: the recipe's columns in which they differ; `attrs["note"]`: a sentence if their
    scores are not comparable."""
    folders = [RunFolder(run) for run in runs]
    folders.sort(key=lambda run: (run.status().get("started") or "", run.folder.name))
    found = [row_of(run, number, run.status()) for number, run in enumerate(folders)]
    for run, (row, _) in zip(folders, found, strict=True):
        if row["state"] == "done" and row["macro_f1"] is None:
            row["reason"] = NO_VALIDATION.format(groups=groups_word(run))
    table = table_of(found)
    names = recipe_columns(table)
    known = table[[config is not None for _, config in found]]  # a run without a config has no recipe
    table.attrs["searched"] = [name for name in names if known[name].map(str).nunique() > 1]
    table.attrs["default_first"] = False
    ranked = [(run, config) for run, (row, config) in zip(folders, found, strict=True)
              if config and row["macro_f1"] is not None]  # fmt: skip
    held_out = {
        (origin_or_empty(run).get("data_fingerprint"), config.group, config.fold, config.folds, config.seed,
         config.corrections)
        for run, config in ranked
    }  # fmt: skip
    words = {groups_word(run) for run, _ in ranked}
    groups = words.pop() if len(words) == 1 else "groups"
    table.attrs["note"] = OTHER_GROUPS.format(groups=groups) if len(held_out) > 1 else ""
    return table


def origin_or_empty(run: RunFolder) -> dict[str, Any]:
    """The content of origin.json; {} if it can't be read."""
    try:
        return run.origin()
    except (OSError, UsageError):
        return {}


def groups_word(run: RunFolder) -> str:
    """The task's word for groups (people); 'groups' if that can't be read."""
    try:
        return run.task().groups
    except UsageError:
        return "groups"
