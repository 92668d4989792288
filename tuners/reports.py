"""What NNI knows about the trial of a suggestion: its curve, its result and its end.

NNI tells a tuner only of final results, and nothing of trials that it takes up again after a resume. Its
database has all of them, written before the tuner is told.
"""

import json
import logging
import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from tuners.errors import is_number
from tuners.spaces.parameter import Params
from tuners.spaces.space import Space

_logger = logging.getLogger("tuners.reports")
DATABASE = Path("db", "nni.sqlite")  # in the experiment's folder
ALIVE = ("WAITING", "RUNNING", "UNKNOWN")  # as analysis.trials.nni_database.OPEN, which tuners don't import
REPORTS_FOLDS = {"fold": "all", "fold_order": "one_by_one"}  # values of a recipe whose reports are folds
MACHINES = "machines.yaml"  # as experiments.machines.remote.MACHINES: in the folder if trials run elsewhere
PARENT = "parent"  # key beside the parameters: NNI's id of the trial that one goes on from


@dataclass(frozen=True)
class Reported:
    """`trial`: NNI's id; `event`: its state in NNI; `curve`: the scores of its last run, one for each epoch;
    `result`: the final one; `seconds` from its start to its last report; `ended`: when its end was recorded
    (Unix time); `epochs`: of its whole training, None while it has not begun one; `interrupted`: whether it
    failed because it was ended from outside, not by NNI, so that it may go on; `unclear`: whether that is
    not known yet, as its run folder on another machine is copied some seconds later; `starting`: those of its
    `seconds` that went by before its first epoch; `unit`: what its reports are, epochs or folds."""

    trial: str = ""
    event: str = ""
    curve: tuple[float, ...] = ()
    result: float | None = None
    seconds: float | None = None
    ended: float | None = None
    epochs: int | None = None
    interrupted: bool = False
    unclear: bool = False
    starting: float = 0.0
    unit: str = "epoch"

    @property
    def alive(self) -> bool:
        return self.event in ALIVE


class Reports:
    """The trials of the experiment in `folder`, whose search space is `space`, as NNI's database has them.

    What each was given is read once and kept: to look for it among thousands takes longer than all else.
    """

    def __init__(self, folder: Path, space: Space):
        self._folder, self._space = folder, space
        self._last = 0  # row of the database that was read
        self._given: dict[Any, list[tuple[str, dict[str, Any]]]] = {}  # NNI's ids, data; by parameter id

    def of(self, parameter_id: int, params: Params, parent: str | None = None) -> Reported | None:
        """The trial that has these params under the id, and goes on from the trial `parent`; None if NNI
        began none.

        After a resume NNI hands out ids again, so the id alone is not enough.
        """
        if not (self._folder / DATABASE).is_file():
            return None
        try:
            self._read()
            given = reversed(self._given.get(parameter_id, []))
            trial = next((trial for trial, data in given if _is(self._space, params, parent, data)), None)
            return _report(self._folder, trial) if trial else None
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
            _logger.warning("NNI's database can't be read: %s", error)
            return None

    def _read(self) -> None:
        rows = _query(
            self._folder,
            "select rowid, trialJobId, data from TrialJobEvent where event = 'WAITING' and json_valid(data) "
            f"and rowid > {self._last} order by rowid",
        )
        for row, trial, data in rows:
            given = json.loads(data)
            if isinstance(given, dict):
                self._given.setdefault(given.get("parameter_id"), []).append((trial, given))
            self._last = row


def _is(space: Space, params: Params, parent: str | None, data: Mapping[str, Any]) -> bool:
    point = dict(data["parameters"])
    try:
        return point.pop(PARENT, None) == parent and space.params(point) == params
    except ValueError:
        return False


def _report(folder: Path, trial: str) -> Reported:
    event, start, end, resumed = "", None, None, 0
    events = _query(
        folder, f"select event, timestamp from TrialJobEvent where trialJobId = '{trial}' order by rowid"
    )
    for name, time in events:
        if name == "USER_TO_CANCEL":
            continue
        event = "WAITING" if name in ("ADD_RESUMED", "ADD_CUSTOMIZED") else name
        resumed = time if name == "ADD_RESUMED" else resumed
        if event in ALIVE:
            start, end = time / 1000, None
        else:
            end = time / 1000
    result, last = None, end
    metrics = _query(
        folder,
        f"select type, sequence, data, timestamp from MetricData where trialJobId = '{trial}' order by rowid",
    )
    # By their numbers, as NNI stores them in any order; of a trial that it ran again those since then.
    reports: dict[int, float] = {}
    times: list[float] = []
    since = resumed if any(time >= resumed for *_, time in metrics) else 0
    for kind, sequence, data, time in metrics:
        value = score(json.loads(json.loads(data)))
        last = time / 1000
        if kind == "FINAL":
            result = value if result is None else result
        elif kind == "PERIODICAL" and time >= since:
            reports[int(sequence)] = math.nan if value is None else value
            times.append(time / 1000)
    curve = [reports[number] for number in takewhile(reports.__contains__, count())]
    run = folder / "trials" / trial
    if result is None and event and event not in ALIVE:
        result = _result_of(run)
    seconds = last - start if last and start and last > start else None
    status = _json(run / "status.json")
    all_parts = status.get("seconds")
    if seconds and isinstance(all_parts, int | float) and PARENT not in status:
        seconds = max(seconds, all_parts)  # `start` is that of its last process: it may have been run again
    interrupted = event == "FAILED" and status.get("state") == "interrupted"
    elsewhere = (folder / MACHINES).is_file()
    unclear = elsewhere and event == "FAILED" and status.get("state") in (None, "running")
    starting = _starting(start, times, PARENT in status) if seconds else 0.0
    epochs, unit = _length_of(run)
    return Reported(
        trial, event, tuple(curve), result, seconds, end, epochs, interrupted, unclear, starting, unit
    )


def _starting(start: float | None, reports: Sequence[float], goes_on: bool) -> float:
    """The seconds from `start` to the first epoch, by the times of `reports`: the first one less an epoch. A
    trial that `goes_on` first reports what its parent did."""
    if start is None or len(reports) < 2:
        return 0.0
    first, last = min(reports), max(reports)
    if goes_on:
        return max(0.0, first - start)
    return max(0.0, first - start - (last - first) / (len(reports) - 1))


def _query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query of NNI's database; [] while its manager is still making the tables. It is opened to
    be written, too: a killed manager leaves a transaction that SQLite must roll back before it reads."""
    connection = sqlite3.connect(f"{(folder / DATABASE).resolve().as_uri()}?mode=rw", uri=True, timeout=10)
    with closing(connection):
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


def _result_of(run: Path) -> float | None:
    """The score of a run that was done before it was stopped, so that NNI did not hear of it."""
    status = _json(run / "status.json")
    return score(status.get("score")) if status.get("state") == "done" else None


def _length_of(run: Path) -> tuple[int | None, str]:
    """The number of reports of a whole training, and what they are: epochs, or folds that are trained one by
    one."""
    config = _json(run / "config.json")
    unit = "fold" if reports_folds(config) else "epoch"
    length = config.get(f"{unit}s")
    return length if isinstance(length, int) and length > 0 else None, unit


def reports_folds(recipe: Mapping[str, Any]) -> bool:
    """Whether the reports of a trial of this recipe are folds that are trained one by one, not epochs."""
    return all(recipe.get(name) == value for name, value in REPORTS_FOLDS.items())


def _json(path: Path) -> dict[str, Any]:
    """{} of a file that can't be read, or has not been written yet."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def score(value: Any) -> float | None:
    """The score in a report, a number or {'default': number, ...}; None if it has none that is finite."""
    if isinstance(value, Mapping):
        value = value.get("default")
    if not is_number(value) or not math.isfinite(value):
        return None
    return float(value)


def curve_of(history: Sequence[Any]) -> list[float]:
    """The scores in the reports of a trial; [] if one of them has none."""
    curve = [score(value) for value in history]
    found = [value for value in curve if value is not None]
    return found if len(found) == len(curve) else []
