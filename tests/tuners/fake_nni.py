"""NNI's database of an experiment, written as its manager writes it."""

import json
import sqlite3
import time
from pathlib import Path


class FakeNNI:
    """The folder of an experiment, with the environment of its dispatcher set.

    Its clock moves by a second with each report, so that a search, which weighs the seconds of its trials,
    does the same on a busy machine.
    """

    def __init__(self, folder: Path, monkeypatch):
        self.folder = folder
        self.now = int(1000 * time.time())  # milliseconds, as NNI writes them
        for name in ("log", "db", "trials"):
            (folder / name).mkdir(parents=True)
        monkeypatch.setenv("NNI_LOG_DIRECTORY", str(folder / "log"))
        self.execute(
            "create table TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text, "
            "sequenceId integer, message text)"
        )
        self.execute(
            "create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, "
            "sequence integer, data text)"
        )

    def execute(self, sql: str, *values):
        with sqlite3.connect(self.folder / "db" / "nni.sqlite") as database:
            database.execute(sql, values)

    def begin(self, trial: str, parameter_id: int, point: dict):
        data = {"parameter_id": parameter_id, "parameter_source": "algorithm", "parameters": point}
        self.event(trial, "WAITING", json.dumps(data))
        self.event(trial, "RUNNING")

    def event(self, trial: str, event: str, data: str | None = None):
        self.now += 1
        self.execute("insert into TrialJobEvent values (?,?,?,?,null,0,'')", self.now, trial, event, data)

    def report(self, trial: str, *scores: float, first: int = 0):
        for sequence, score in enumerate(scores, first):
            self._metric(trial, "PERIODICAL", sequence, {"default": score, "accuracy": 0.5})

    def result(self, trial: str, score: float):
        self._metric(trial, "FINAL", 0, score)

    def _metric(self, trial: str, kind: str, sequence: int, value):
        self.now += 1000
        self.execute(
            "insert into MetricData values (?,?,'0',?,?,?)",
            self.now, trial, kind, sequence, json.dumps(json.dumps(value)),
        )  # fmt: skip
