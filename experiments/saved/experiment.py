"""An experiment as NNI's database keeps it: read as a plan, and changed before it goes on."""

import contextlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.trials.chosen import FAIL, read_or_damage
from analysis.trials.nni_database import Recorded, recorded_trials
from common.errors import UsageError
from common.machine import PROJECT
from common.nni_database import configuration, database, profile, query
from common.nni_yaml import KEYS, SERVICE, TRIAL, split_command
from common.text import path_text
from experiments.machines.remote import local_service
from experiments.plan import Plan
from trial.run_folder.record import RunFolder
from trial.run_folder.status import INTERRUPTED

STOPPED = ("USER_CANCELED", "SYS_CANCELED")  # by a person, or with the experiment


@dataclass(frozen=True)
class Saved:
    """What NNI's database keeps of the experiment in `folder`. `params`: its configuration, as NNI wrote it;
    `seconds`: how long it has run, all its starts together; `finished`: whether NNI noted its end, which a
    kill prevents."""

    folder: Path
    params: dict[str, Any]
    seconds: float
    finished: bool

    @property
    def id(self) -> str:
        return self.folder.name

    @cached_property
    def trials(self) -> list[Recorded]:
        return recorded_trials(self.folder)

    @cached_property
    def plan(self) -> Plan:
        """The plan that the trials follow, whatever became of its YAML."""
        config = {key: value for key, value in self.params.items() if key in KEYS and value is not None}
        if isinstance(service := config.get("trainingService"), dict):  # NNI adds keys of its own
            config["trainingService"] = {key: service[key] for key in SERVICE if service.get(key) is not None}
            if service.get("platform") == "remote":  # which machines run the trials is not in a plan's config
                config["trainingService"] = local_service(service)
        for key in ("tuner", "assessor"):
            if key in config:
                config[key] = {name: value for name, value in config[key].items() if value is not None}
        start, fixed = TRIAL, tuple[str, ...]()
        with contextlib.suppress(ValueError):  # another command than ours, which resume refuses
            start, fixed = split_command(str(config.get("trialCommand", "")))
        return Plan(self.folder / "experiment.yaml", config, config.get("searchSpace") or {}, start, fixed)

    def unfinished(self) -> list[Recorded]:
        """The trials that are still to end: those that were at work when the manager was killed, or when the
        experiment was stopped, unless another trial began since; and those that were interrupted. Of these
        not those that another trial went on from, or replaced before they had an epoch, and not those whose
        recipe the search has given up."""
        kept = [t for t in self.trials if t.is_open]
        given_up = {
            chosen.trial
            for chosen in read_or_damage(self.folder)[0]
            if chosen.state == FAIL and chosen.why.startswith(INTERRUPTED)
        }
        interrupted = [t for t in self.trials if self._was_interrupted(t) and t.trial not in given_up]
        kept += [t for t in interrupted if not self._has_successor(t)]
        ids = [trial.parameter_id for trial in kept]
        for trial in self._stopped_last():
            # After a plain `nnictl resume` NNI hands out ids again, and takes equal ones for the same trial.
            if trial.parameter_id not in ids:
                ids.append(trial.parameter_id)
                kept.append(trial)
        return [trial for trial in kept if not self._is_done(trial) and not trial.damage]

    def _stopped_last(self) -> list[Recorded]:
        rows = query(self.folder, "select trialJobId, event, rowid from TrialJobEvent order by rowid")
        last_begin = max((row for _, event, row in rows if event == "WAITING"), default=0)
        late = {trial for trial, event, row in rows if event in STOPPED and row > last_begin}
        return [t for t in self.trials if t.event in STOPPED and not t.by_person and t.trial in late]

    def _is_done(self, trial: Recorded) -> bool:
        return self._state(trial) == "done"

    def _was_interrupted(self, trial: Recorded) -> bool:
        return trial.event == "FAILED" and self._state(trial) == INTERRUPTED

    def _has_successor(self, trial: Recorded) -> bool:
        later = [other for other in self.trials if other.sequence > trial.sequence]
        if any(other.parent == trial.trial for other in later):
            return True
        again = any(other.parameters == trial.parameters for other in later)
        return again and not self._status(trial).get("epochs")

    def _state(self, trial: Recorded) -> str:
        return str(self._status(trial)["state"])

    def _status(self, trial: Recorded) -> dict[str, Any]:
        return RunFolder(self.folder / "trials" / trial.trial).status()

    def done_unnoticed(self) -> list[Recorded]:
        """Trials that were done in the second of the kill, so that NNI does not know of it."""
        return [trial for trial in self.trials if trial.is_open and self._is_done(trial)]


def read_saved(folder: Path) -> Saved:
    """UsageError if the folder holds no experiment that could go on."""
    folder = folder.resolve()
    if not database(folder).is_file():
        raise UsageError(f"{path_text(folder)}: holds no experiment: there is no {database(Path())}")
    rows = latest_revision(folder)
    try:
        params, id, seconds, _, end = rows[0]
        saved = Saved(folder, configuration(params), float(seconds or 0), end is not None)
        if not isinstance(saved.params.get("tuner"), dict):
            raise ValueError("no tuner in it")
    except (IndexError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path_text(database(folder))}: is damaged, or its experiment never began ({error!r})"
        ) from None
    if id != folder.name:
        raise UsageError(f"{path_text(folder)}: holds the experiment {id}; rename the folder to {id}")
    return saved


def latest_revision(folder: Path) -> list[tuple[Any, ...]]:
    """NNI's latest record of the experiment, if there is one: its configuration as JSON, its id, the seconds
    that it ran, its start and its end (milliseconds; None if it runs, or was killed)."""
    columns = "params, id, execDuration, startTime, endTime"
    return query(folder, f"select {columns} from ExperimentProfile order by revision desc limit 1")


def with_paths_of_today(saved: Saved) -> tuple[Saved, str]:
    """(The experiment with the paths that are right now, a note if its project was moved).

    A moved project is noticed by its old folder, which is gone, while the experiment lies at the same place
    in this one. UsageError if the folder is gone and the experiment did not move along.
    """
    params = saved.params
    code, runs = (str(params.get(key)) for key in ("trialCodeDirectory", "experimentWorkingDirectory"))
    note = ""
    if not Path(code).is_dir():
        if os.path.relpath(runs, code) != os.path.relpath(saved.folder.parent, PROJECT):
            raise UsageError(
                f"{saved.id}: its code folder {code} is gone; move it back, or start another experiment with "
                f"warm_start: [{saved.id}]"
            )
        text = re.sub(re.escape(code) + r"(?=[/\"'\s])", str(PROJECT), json.dumps(params, ensure_ascii=False))
        params = json.loads(text)
        note = f"the project was moved: trials run in {PROJECT} now, no longer in {code}"
    params = params | {"experimentWorkingDirectory": str(saved.folder.parent)}
    return Saved(saved.folder, params, saved.seconds, saved.finished), note


def space_at_start(saved: Saved) -> Any:
    """The search space at the experiment's start, before any change on NNI's page."""
    return profile(saved.folder, first=True).get("searchSpace")


def change(
    saved: Saved,
    params: Mapping[str, Any],
    again: Iterable[Recorded],
    tried: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write into NNI's database what its manager reads when the experiment goes on, all of it or nothing.

    `params`: the configuration; `again`: trials to be run again; those that were done unnoticed get their
    result. `tried`: recipes that NNI's GridSearch is told of, which it then leaves out.
    """
    now = round(time.time() * 1000)
    events: list[tuple[str, str, str | None, int | None]]
    events = [(trial.trial, "WAITING", None, trial.sequence) for trial in again if not trial.is_open]
    done = saved.done_unnoticed()
    events += [(trial.trial, "SUCCEEDED", None, trial.sequence) for trial in done]
    # NNI would start again what it can't read.
    broken = [trial for trial in saved.trials if trial.damage and trial.is_open and trial not in done]
    events += [(trial.trial, "FAILED", None, trial.sequence) for trial in broken]
    if tried:
        results = json.dumps([{"parameter": _through_javascript(one), "value": 0} for one in tried])
        events.append(("", "IMPORT_DATA", results, None))
    scores = [(t, RunFolder(saved.folder / "trials" / t.trial).status()["score"]) for t in done]
    try:
        connection = sqlite3.connect(f"{database(saved.folder).as_uri()}?mode=rw", uri=True, timeout=10)
        with contextlib.closing(connection), connection as db:
            db.execute(
                "insert into ExperimentProfile select ?, id, execDuration, startTime, endTime, logDir, "
                "nextSequenceId, revision + 1 from ExperimentProfile order by revision desc limit 1",
                (json.dumps(params, ensure_ascii=False),),
            )
            db.executemany(
                "insert into TrialJobEvent (timestamp, trialJobId, event, data, sequenceId) "
                f"values ({now}, ?, ?, ?, ?)",
                events,
            )
            db.executemany(
                f"insert into MetricData values ({now}, ?, ?, 'FINAL', 0, ?)",
                [
                    (trial.trial, trial.parameter_id, json.dumps(json.dumps({"default": score})))
                    for trial, score in scores
                    if not query(
                        saved.folder,
                        f"select 1 from MetricData where trialJobId = '{trial.trial}' and type = 'FINAL'",
                    )
                ],
            )
    except sqlite3.Error as error:
        raise UsageError(f"{path_text(database(saved.folder))}: can't be written ({error})") from None


def _through_javascript(value: Any) -> Any:
    """Values that NNI's manager hands on unchanged: JavaScript writes 2.0 as 2, for GridSearch another
    recipe. So whole floats are written as numpy's are by NNI's JSON."""
    if isinstance(value, Mapping):
        return {key: _through_javascript(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_through_javascript(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return {"__ndarray__": int(value), "dtype": "float64", "shape": []}
    return value
