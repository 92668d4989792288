"""What NNI's own database says of an experiment; read without a server."""

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.errors import CallersMistake


@dataclass
class Recorded:
    """One trial as NNI knows it: `parameters` are the tuner's values, `event` the last word on it."""

    trial: str
    sequence: int
    parameters: dict[str, Any] = field(default_factory=dict)
    event: str = "WAITING"


def database(folder: Path) -> Path:
    return folder / "db" / "nni.sqlite"


def recorded_trials(folder: Path) -> list[Recorded]:
    """The trials of the experiment in `folder`, in NNI's order."""
    found: dict[str, Recorded] = {}
    query = "select trialJobId, event, data, sequenceId from TrialJobEvent order by rowid"
    for trial, event, data, sequence in _rows(folder, query):
        known = found.setdefault(trial, Recorded(trial, len(found)))
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
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):  # the server is still making them
            return []
        raise CallersMistake(f"{path}: can't be read as NNI's database ({error})") from None
    finally:
        connection.close()
