"""What NNI's own database says of an experiment; read without a server."""

import contextlib
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UsageError


@dataclass
class Recorded:
    """One trial as NNI recorded it.

    `parameters`: the tuner's values; `event`: the latest state (WAITING, RUNNING, SUCCEEDED, FAILED,
    EARLY_STOPPED, USER_CANCELED, SYS_CANCELED); `by_person`: whether a person stopped it, in NNI's page or
    by nnictl.
    """

    trial: str
    sequence: int
    parameters: dict[str, Any] = field(default_factory=dict)
    event: str = "WAITING"
    by_person: bool = False


def database(folder: Path) -> Path:
    return folder / "db" / "nni.sqlite"


def recorded_trials(folder: Path) -> list[Recorded]:
    """The trials of the experiment in `folder`, in NNI's order."""
    found: dict[str, Recorded] = {}
    query = "select trialJobId, event, data, sequenceId from TrialJobEvent order by rowid"
    for trial, event, data, sequence in _rows(folder, query):
        if not trial:  # of the whole experiment (data imported, say)
            continue
        known = found.setdefault(trial, Recorded(trial, len(found)))
        if event == "USER_TO_CANCEL":  # may follow USER_CANCELED, which the experiment's end writes too
            known.by_person = True
        elif event == "ADD_RESUMED":  # will be started again
            known.event, known.by_person = "WAITING", False
        else:
            known.event = event
        if sequence is not None:
            known.sequence = sequence
        if event == "WAITING" and data:
            known.parameters = json.loads(data)["parameters"]
    return sorted(found.values(), key=lambda r: r.sequence)


def experiment_name(folder: Path) -> str:
    """`experimentName` of the experiment's YAML; '' where it has none."""
    return profile(folder).get("experimentName") or ""


def profile(folder: Path) -> dict[str, Any]:
    """The experiment's configuration as NNI took it, in its latest revision."""
    rows = _rows(folder, "select params from ExperimentProfile order by revision desc limit 1")
    return json.loads(rows[0][0]) if rows else {}


def _rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    path = database(folder).resolve()
    try:
        try:
            return _fetch(path, "ro", query)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            # A killed manager left a transaction half written; to read on, SQLite has to take it back first.
            return _fetch(path, "rw", query)
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):  # the server is still making them
            return []
        raise UsageError(f"{path}: can't be read as NNI's database ({error})") from None


def _fetch(path: Path, mode: str, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(
        sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=10)
    ) as connection:
        return connection.execute(query).fetchall()
