"""NNI's database of an experiment, read without nni and without its server."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.files import NONE, NUMBER, Kinds, check_kinds

CONFIG: dict[str, Kinds] = {  # of an experiment, as NNI records it
    "experimentName": (str, NONE), "searchSpace": (dict, NONE), "tuner": (dict, NONE),
    "assessor": (dict, NONE), "trialCommand": (str, NONE), "trialCodeDirectory": (str, NONE),
    "experimentWorkingDirectory": (str, NONE),
    "trialConcurrency": (int, NONE), "maxTrialNumber": (int, NONE),
    "maxExperimentDuration": (str, *NUMBER, NONE), "maxTrialDuration": (str, *NUMBER, NONE),
}  # fmt: skip
ALGORITHM: dict[str, Kinds] = {
    "name": (str, NONE), "className": (str, NONE), "codeDirectory": (str, NONE), "classArgs": (dict, NONE),
}  # fmt: skip


def database(folder: Path) -> Path:
    """The database file of the experiment in `folder`."""
    return folder / "db" / "nni.sqlite"


def profile(folder: Path, first: bool = False) -> dict[str, Any]:
    """The configuration of the experiment in `folder`, as NNI's manager recorded it.

    The latest revision, or with `first` the one at its start, before any change on NNI's page. {} while there
    is none. UsageError if the database can't be read.
    """
    order = "asc" if first else "desc"
    rows = query(folder, f"select params from ExperimentProfile order by revision {order} limit 1")
    try:
        return configuration(rows[0][0]) if rows else {}
    except ValueError as error:
        raise UsageError(f"{database(folder)}: is damaged ({error})") from None


def configuration(text: Any) -> dict[str, Any]:
    """An experiment's configuration from NNI's record of it. ValueError if that is damaged."""
    try:
        read = json.loads(text)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its configuration is no JSON: {error}") from None
    if not isinstance(read, dict):
        raise ValueError("its configuration is not a JSON object")
    check_kinds(read, {}, CONFIG)
    for key in ("tuner", "assessor"):
        check_kinds(read.get(key) or {}, {}, ALGORITHM)
    return read


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query of the experiment's database; [] while its tables are not yet made."""
    path = database(folder).resolve()
    try:
        try:
            return _fetch(path, "ro", sql)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            # A killed manager left an unfinished transaction, which SQLite must roll back before it reads.
            return _fetch(path, "rw", sql)
    except sqlite3.DatabaseError as error:
        if "no such table" in str(error):  # the manager is still making them
            return []
        raise UsageError(f"{path}: can't be read as NNI's database ({error})") from None


def _fetch(path: Path, mode: str, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=10)
    with contextlib.closing(connection):
        return connection.execute(sql).fetchall()
