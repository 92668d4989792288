"""A tiny experiment on NNI's real manager, with its own HOME, for the tests marked `server`."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]
NNICTL = Path(sys.prefix) / "bin" / "nnictl"
TRIAL = """
import json, os, sys, time
import nni
values = nni.get_next_parameter()
for epoch in range(3):
    nni.report_intermediate_result({"default": values["x"] * (epoch + 1), "loss": 1.0})
    time.sleep(0.1)
names = "FACE_MASK_NNI_PRELOAD", "NO_ALBUMENTATIONS_UPDATE", "OPENBLAS_NUM_THREADS"
seen = {name: os.environ.get(name) for name in names}
with open(os.path.join(os.environ["NNI_OUTPUT_DIR"], "seen.json"), "w") as file:
    json.dump({**seen, "python": sys.prefix}, file)
nni.report_final_result(values["x"] * 3)
"""
YAML = """
experimentName: tiny
searchSpaceFile: space.json
trialCommand: python trial.py
trialCodeDirectory: .
trialConcurrency: 2
maxTrialNumber: {trials}
experimentWorkingDirectory: runs
tuner: {tuner}
{more}
trainingService: {{platform: local}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening() -> dict[str, set[str]]:
    """All TCP addresses on which this machine listens: port -> addresses."""
    found: dict[str, set[str]] = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            found.setdefault(str(connection.laddr.port), set()).add(connection.laddr.ip)
    return found


@dataclass
class TinyExperiment:
    """An experiment in `folder`, which holds everything that NNI writes."""

    folder: Path
    port: int
    id: str = ""

    @classmethod
    def write(cls, folder: Path, trials: int = 2, tuner: str = "{name: Random}", more: str = ""):
        (folder / "home").mkdir()
        (folder / "trial.py").write_text(TRIAL)
        (folder / "space.json").write_text(json.dumps({"x": {"_type": "uniform", "_value": [0, 1]}}))
        (folder / "tiny.yaml").write_text(YAML.format(trials=trials, tuner=tuner, more=more))
        return cls(folder, free_port())

    @classmethod
    def of_trials(cls, folder: Path, trials: int, values: dict, more: str = ""):
        """An experiment that runs `python -m trial` with `values` and a searched learning rate, one trial at a time."""
        tiny = cls.write(folder, trials, more=more)
        words = " ".join(f"{key}={value}" for key, value in values.items() if key != "learning_rate")
        yaml = (folder / "tiny.yaml").read_text().replace("python trial.py", f"python -m trial {words}")
        yaml = yaml.replace("trialCodeDirectory: .", f"trialCodeDirectory: {PROJECT}")
        (folder / "tiny.yaml").write_text(yaml.replace("trialConcurrency: 2", "trialConcurrency: 1"))
        space = {"learning_rate": {"_type": "uniform", "_value": [0.001, 0.003]}}
        (folder / "space.json").write_text(json.dumps(space))
        return tiny

    def manager(self) -> psutil.Process:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if self.id in words and any("nni_node" in word for word in words):
                return process
        raise AssertionError("NNI's manager does not run")

    def nnictl(self, *words: str, **environ: str) -> str:
        done = subprocess.run(
            [NNICTL, *words],
            env={**os.environ, "HOME": str(self.folder / "home"), **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout + done.stderr

    def create(self, **environ: str) -> None:
        config = str(self.folder / "tiny.yaml")
        printed = self.nnictl("create", "--config", config, "--port", str(self.port), **environ)
        found = re.search(r"nnictl stop (\w{8})", printed)
        assert found, printed
        self.id = found.group(1)

    def stop(self) -> None:
        """Stop the manager and wait until its port is free."""
        if self.id:
            self.nnictl("stop", self.id)
            self.wait_for(lambda: str(self.port) not in listening())

    @property
    def root(self) -> Path:
        return self.folder / "runs" / self.id

    def rows(self, query: str) -> list[tuple]:
        path = self.root / "db" / "nni.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def ends(self) -> dict[str, str]:
        """{trial id: SUCCEEDED, FAILED, EARLY_STOPPED, ...} of the trials that have ended."""
        rows = self.rows("SELECT trialJobId, event FROM TrialJobEvent ORDER BY rowid")
        return {trial: event for trial, event in rows if event not in ("WAITING", "RUNNING")}

    def wait_for_trials(self, count: int, seconds: float = 60) -> None:
        self.wait_for(lambda: len(self.ends()) >= count, seconds)

    @staticmethod
    def wait_for(ready, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if ready():
                    return
            except sqlite3.Error:
                pass  # the manager has not created its tables yet
            time.sleep(0.2)
        raise AssertionError("NNI took too long")
