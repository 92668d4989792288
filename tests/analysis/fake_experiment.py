"""An experiment's folder as NNI leaves it, made without NNI: its database, and real run folders."""

import json
import sqlite3
from pathlib import Path

from analysis.trials.table import Experiment
from tests.conftest import TINY
from trial.config import parse
from trial.metrics import column_of
from trial.run import run
from trial.run_folder.record import RunWriter

TABLES = (
    "create table TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text, "
    "sequenceId integer, message text)",
    "create table ExperimentProfile (params text, id text, execDuration integer, startTime integer, "
    "endTime integer, logDir text, nextSequenceId integer, revision integer)",
    "create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, "
    "sequence integer, data text)",
)


def make_experiment(
    folder: Path,
    space: dict,
    name: str = "tiny",
    tuner: str = "tuners.search.Search",
    arguments: dict | None = None,
    **more: object,
) -> Path:
    (folder / "db").mkdir(parents=True)
    (folder / "log").mkdir()
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        for table in TABLES:
            database.execute(table)
        config = {"experimentName": name, "searchSpace": space}
        config["tuner"] = {"className": tuner, "classArgs": arguments or {}}
        params = json.dumps(config | more)
        database.execute("insert into ExperimentProfile values (?,?,0,0,0,'',0,0)", (params, folder.name))
    return folder


def record(folder: Path, trial: str, parameters: dict, event: str = "SUCCEEDED") -> Path:
    """Let NNI's database say that `trial` was given `parameters` and ended so; its trial folder."""
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        (sequence,) = database.execute("select count(distinct trialJobId) from TrialJobEvent").fetchone()
        data = json.dumps({"parameter_id": sequence, "parameters": parameters})
        add = "insert into TrialJobEvent values (0,?,?,?,'',?,'')"
        database.execute(add, (trial, "WAITING", data, sequence))
        if event != "WAITING":
            database.execute(add, (trial, event, None, sequence))
    return folder / "trials" / trial


def trained(folder: Path, data: Path) -> Experiment:
    """An experiment of two real trials, recorded as NNI would."""
    make_experiment(folder, {"seed": {"_type": "choice", "_value": [0, 1]}})
    for seed in (0, 1):
        config = parse({**TINY, "seed": seed, "data": str(data)})
        writer = RunWriter(record(folder, f"t{seed}", {"seed": seed}), config)
        run(config, writer, lambda epoch: None)
        writer.end("done")
    return Experiment(folder.name, "tiny", folder)


def timeline(
    folder: Path, trial: str, events: list[tuple[float, str]], sequence: int, parameters: dict
) -> Path:
    """Let NNI's database say what happened to `trial`, by seconds: its events, and REPORT; its trial folder."""
    data = json.dumps({"parameter_id": sequence, "parameters": parameters})
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        for second, event in events:
            stamp = 1_800_000_000_000 + round(1000 * second)
            if event == "REPORT":
                add = "insert into MetricData values (?,?,'0','PERIODICAL',0,'\"0.5\"')"
                database.execute(add, (stamp, trial))
            else:
                add = "insert into TrialJobEvent values (?,?,?,?,'',?,'')"
                given = data if event == "WAITING" else None
                database.execute(add, (stamp, trial, event, given, sequence))
    return folder / "trials" / trial


def more_events(folder: Path, trial: str, events: list[str]) -> None:
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        for event in events:
            database.execute("insert into TrialJobEvent values (0,?,?,null,'',null,'')", (trial, event))


def finished(
    folder: Path,
    values: dict,
    macro_f1: float,
    state: str = "done",
    epochs: int = 2,
    reason: str = "",
    score: float | None = None,
    parent: str = "",
) -> RunWriter:
    """A run folder that says so, without training. `score`: by the metric in `values`, unless that is macro_f1;
    `parent`: the trial whose epochs are the first of these."""
    config = parse(values)
    writer = RunWriter(folder, config)
    scores = {"accuracy": 0.5, "macro_f1": macro_f1}
    if score is not None:
        scores[column_of(config.metric)] = score
    writer.origin({"data_fingerprint": "f" * 64, "experiment": "tiny", "trial": folder.name})
    for epoch in range(1, epochs + 1):
        writer.epoch({"epoch": epoch, "seconds": 1.0, **scores})
    writer._status |= {"macro_f1": macro_f1, "score": scores[column_of(config.metric)], "best_epoch": 1}
    if parent:
        writer._status["parent"] = parent
    writer.end(state, reason)
    return writer
