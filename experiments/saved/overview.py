"""The experiments on this machine as a short table."""

import math
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.machine import EXPERIMENTS
from common.nni_database import configuration, database
from common.text import shortened
from experiments import server
from experiments.saved.experiment import Saved, latest_revision
from trial.run_folder.record import RunFolder

WIDTHS = {"name": 26, "id": 10}
TITLES = ("id", "name", "state", "done", "best", "hours", "started")


@dataclass(frozen=True)
class Row:
    """An experiment. `state`: running; ended; stopped, with trials that `resume` goes on with; killed;
    damaged, if NNI's database can't be read. `done`: finished trials of the number asked for; `best`: their
    highest score; `hours` that it ran; `started`: Unix time, 0 if unknown."""

    id: str
    name: str = ""
    state: str = "damaged"
    done: int = 0
    asked: int | None = None
    best: float | None = None
    hours: float | None = None
    started: float = 0.0


def overview(root: Path = EXPERIMENTS, running: Mapping[str, Path] | None = None) -> list[Row]:
    """The experiments in `root`, and those in `running` ({id: folder}; None: found), newest first."""
    running = server.running() if running is None else running
    folders = [folder for folder in _subfolders(root) if database(folder).is_file()]
    folders += [one for one in running.values() if database(one).is_file()]
    found = {folder.resolve(): None for folder in folders}
    rows = [_row(folder, folder.name in running) for folder in found]
    return sorted(rows, key=lambda row: (-row.started, row.id))


def _subfolders(root: Path) -> list[Path]:
    # NNI keeps a link to the latest one beside them.
    return [f for f in root.iterdir() if f.is_dir() and not f.is_symlink()] if root.is_dir() else []


def _row(folder: Path, is_running: bool) -> Row:
    try:
        saved = latest_revision(folder)
        if not saved:
            return Row(folder.name, state="running" if is_running else "killed")
        text, _, seconds, start, end = saved[0]
        params = configuration(text)
        arguments = (params.get("tuner") or {}).get("classArgs") or {}
        experiment = Saved(folder, params, seconds, end is not None)
        scores = list(_scores(experiment))
        asked = arguments.get("trainings") or params.get("maxTrialNumber")
        ended = "stopped" if experiment.unfinished() else "ended"
        return Row(
            folder.name,
            params.get("experimentName") or "",
            "running" if is_running else "killed" if end is None else ended,
            len(scores),
            None if asked is None else math.ceil(asked),  # 12.75 trainings, after a resume
            max(scores, default=None),
            seconds / 3600,
            start / 1000,
        )
    except (UsageError, ValueError, TypeError, AttributeError, KeyError):
        return Row(folder.name)


def _scores(saved: Saved) -> Iterable[float]:
    """The scores of the finished trials."""
    for trial in saved.trials:
        with suppress(KeyError, TypeError, ValueError):  # it can't be read: the trials' table says so
            status = RunFolder(saved.folder / "trials" / trial.trial).status()
            if status["state"] == "done":
                yield float(status["score"])


def lines(rows: Iterable[Row]) -> list[str]:
    """The table as lines of at most 100 characters."""
    cells = [TITLES, *map(_cells, rows)]
    if len(cells) == 1:
        return ["no experiment yet; start one: python -m experiments run experiments/demo.yaml"]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _cells(row: Row) -> tuple[str, ...]:
    short = {
        key: shortened(text, width)
        for (key, width), text in zip(WIDTHS.items(), (row.name, row.id), strict=True)
    }
    return (
        short["id"],
        short["name"],
        row.state,
        f"{row.done} of {row.asked}" if row.asked else str(row.done),
        "" if row.best is None else f"{row.best:.4f}",
        "" if row.hours is None else f"{row.hours:.2f}",
        time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started)) if row.started else "",
    )
