"""Run folders by themselves, without an experiment: found, and laid out as a trials table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.trials.table import COLUMNS, find, row_of, table_of, trial_table
from common.errors import UsageError
from common.nni_database import database
from trial.record import RunFolder

ON_ALL = "trained on all people: no score to rank it by"
OTHER_PEOPLE = (
    "note: these runs were not all validated on the same people and labels (data, fold, folds, seed or "
    "corrections differ), so their scores compare only roughly"
)


def is_run(folder: Path) -> bool:
    """Whether it is a run folder, whole or not."""
    return folder.is_dir() and any((folder / name).exists() for name in ("config.json", "status.json"))


def runs_in(folder: Path) -> list[Path]:
    """The run folders that `folder` stands for: itself, those in its best/ (export-best-and-retrain wrote
    it), or those in it; sorted by name, numbers by size."""
    if is_run(folder):
        return [folder]
    for place in (folder / "best", folder):
        if runs := [run for run in sorted_in(place) if is_run(run)]:
            return runs
    return []


def sorted_in(folder: Path) -> list[Path]:
    """What a folder holds, by name, numbers by size; [] if there is no such folder."""
    held = folder.iterdir() if folder.is_dir() else ()
    return sorted(held, key=lambda path: (len(path.name) if path.name.isdigit() else 0, path.name))


def any_table(wanted: str) -> pd.DataFrame:
    """The trials table of an experiment (see `trials.find`), of a folder of runs, or of one run."""
    folder = Path(wanted)
    experiment = database(folder).is_file() or database(folder.parent).is_file()
    if not experiment and (runs := runs_in(folder)):
        return runs_table(runs)
    try:
        return trial_table(find(wanted))
    except UsageError as error:
        if folder.is_dir():
            raise UsageError(f"{folder} holds neither an experiment nor a run") from None
        raise error from None


def runs_table(runs: Sequence[Path]) -> pd.DataFrame:
    """As `trials.trial_table`, a row for each run folder in the order of their start. `attrs["searched"]`:
    the recipe's columns in which they differ; `attrs["note"]`: a sentence if their scores don't compare."""
    folders = [RunFolder(run) for run in runs]
    folders.sort(key=lambda run: (run.status().get("started") or "", run.folder.name))
    found = [row_of(run, number, run.status()) for number, run in enumerate(folders)]
    for row, _ in found:
        if row["state"] == "done" and row["macro_f1"] is None:
            row["reason"] = ON_ALL
    table = table_of(found)
    names = [name for name in table.columns if name not in COLUMNS]
    known = table[[config is not None for _, config in found]]  # a run without a config has no recipe
    table.attrs["searched"] = [name for name in names if known[name].map(str).nunique() > 1]
    table.attrs["default_first"] = False
    ranked = [(run, config) for run, (row, config) in zip(folders, found, strict=True)
              if config and row["macro_f1"] is not None]  # fmt: skip
    people = {(_data(run), config.fold, config.folds, config.seed, config.corrections)
              for run, config in ranked}  # fmt: skip
    table.attrs["note"] = OTHER_PEOPLE if len(people) > 1 else ""
    return table


def _data(run: RunFolder) -> str:
    try:
        return run.origin().get("data_fingerprint", "")
    except (FileNotFoundError, UsageError):
        return ""
