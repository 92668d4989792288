"""An experiment's folder as NNI leaves it, without running NNI."""

import json
import sqlite3

from common.machine import PROJECT
from common.process import process_mark

TABLES = """
create table TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text, sequenceId integer, message text);
create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence integer, data text);
create table ExperimentProfile (params text, id text, execDuration integer, startTime integer, endTime integer, logDir text, nextSequenceId integer, revision integer);
"""
SPACE = {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.01]}}


class SavedExperiment:
    """`folder`: of the experiment, below `root`."""

    def __init__(self, root, id="abcd1234", start=1_000_000, seconds=60, end=None, **params):
        self.folder = root / id
        (self.folder / "db").mkdir(parents=True)
        command = "python -m trial model=test_resnet.r160_in1k weights=none image_size=32x32 data=" + str(
            root / "photos"
        )
        (root / "photos").mkdir(exist_ok=True)
        self.params = {
            "experimentName": "mine", "searchSpace": SPACE, "trialCommand": command,
            "trialCodeDirectory": str(PROJECT), "trialConcurrency": 2, "maxTrialNumber": 4,
            "experimentWorkingDirectory": str(root), "debug": False,
            "tuner": {"className": "tuners.search.Search", "codeDirectory": str(PROJECT), "classArgs": {"seed": 1}},
            "trainingService": {"platform": "local", "trialCommand": command, "trialCodeDirectory": str(PROJECT)},
        } | params  # fmt: skip
        with sqlite3.connect(self.folder / "db" / "nni.sqlite") as db:
            db.executescript(TABLES)
            db.execute(
                "insert into ExperimentProfile values (?, ?, ?, ?, ?, '', 0, 1)",
                (json.dumps(self.params), id, seconds, start * 1000, end),
            )

    def trial(
        self, name, *events, state=None, score=0.5, rate=0.005, parameter_id=None, epochs=2, parent=None
    ):
        """A trial with NNI's events and, with a `state`, a run folder."""
        number = self.rows("select count(distinct trialJobId) from TrialJobEvent")[0][0]
        data = {
            "parameter_id": number if parameter_id is None else parameter_id,
            "parameters": {"learning_rate": rate} | ({"parent": parent} if parent else {}),
        }
        with sqlite3.connect(self.folder / "db" / "nni.sqlite") as db:
            for event in ("WAITING", *events):
                text = json.dumps(data) if event == "WAITING" else None
                sequence = None if event == "USER_TO_CANCEL" else number
                db.execute(
                    "insert into TrialJobEvent values (0, ?, ?, ?, '', ?, '')", (name, event, text, sequence)
                )
        if state:
            run = self.folder / "trials" / name
            run.mkdir(parents=True)
            status = {
                "state": state,
                "reason": "",
                "process": process_mark(),
                "macro_f1": score,
                "epochs": epochs,
            }
            (run / "status.json").write_text(json.dumps({**status, "metric": "macro_f1", "score": score}))
        return self

    def rows(self, sql):
        with sqlite3.connect(self.folder / "db" / "nni.sqlite") as db:
            return db.execute(sql).fetchall()
