"""One small search that is killed at random moments and taken up again until it has what it was asked for."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks.kills.count import Counts, Seen, count
from benchmarks.kills.processes import KINDS, at_work, kill, of_search, victims, wait_until_gone
from common.errors import UsageError
from common.machine import PROJECT
from experiments.checks.ports import any_port
from experiments.saved.experiment import read_saved
from experiments.server import NNICTL

EPOCHS, ASKED = 16, 4
LONGEST = 8.0  # seconds until a kill: from when a trial has trained an epoch, or from the session's start on
EARLY = 0.25  # of the kills may come before a trial has trained
GONE = 40.0  # seconds in which the processes of a killed search must be gone
LATEST = 150.0  # seconds that are waited for an epoch of a trial
STUCK = 600.0  # seconds that a session may take
SESSIONS = 20
PLAIN = 0.3  # of the sessions are taken up by plain `nnictl resume`
NOTHING_LEFT = "have begun and ended"  # what `experiments resume` says of a search that has all
TRIAL = (
    "python -m trial data={data} model=test_resnet.r160_in1k weights=none image_size=32x32 "
    f"epochs={EPOCHS} batch_size=32 optimizer=adamw schedule=onecycle threads=1 cache_limit=0"
)
SPACE = {
    "learning_rate": {"_type": "loguniform", "_value": [0.0005, 0.02]},
    "weight_decay": {"_type": "loguniform", "_value": [0.001, 0.1]},
}
# The searches in turn: (trials at a time, whether they pause trials).
WAYS = ((2, True), (1, True), (2, False))


class Search:
    """Search `number` of a benchmark with this seed. Its runs, logs and HOME are in `folder`; it is killed up
    to `kills` times."""

    def __init__(self, number: int, seed: int, folder: Path, data: Path, kills: int):
        self.number, self.folder, self.data, self.kills = number, folder, data, kills
        self.at_once, self.pauses = WAYS[number % len(WAYS)]
        self.rng = random.Random(f"{seed} {number}")
        self.home, self.runs = folder / "home", folder / "runs"
        self.environ = os.environ | {"HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        self.done: list[str] = []  # kills
        self.orphaned, self.seen = 0, Seen()

    def run(self) -> Counts:
        """Start the search, kill it and go on with it until it has all, and count. RuntimeError if it gets
        stuck."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.home.mkdir(parents=True)
        self._write()
        try:
            for _ in range(SESSIONS):
                if not self._session():
                    break
            else:
                raise RuntimeError(f"{self.folder}: not at its end after {SESSIONS} starts")
            experiment = self._experiment()
            assert experiment
            return count(experiment, self.done, self.seen, self.orphaned, ASKED, self.pauses)
        finally:
            self._end_all()

    def _write(self) -> None:
        arguments = {"seed": self.number} | ({"trainings": ASKED} if self.pauses else {})
        tuner = {"className": "tuners.search.Search", "classArgs": arguments}
        experiment: dict[str, Any] = {
            "experimentName": f"kills_{self.number}",
            "experimentWorkingDirectory": str(self.runs),
            "searchSpace": SPACE,
            "trialCodeDirectory": str(PROJECT),
            "trialCommand": TRIAL.format(data=self.data),
            "trialConcurrency": self.at_once,
            "maxTrialNumber": 4 * ASKED if self.pauses else ASKED,
            "tuner": tuner | {"codeDirectory": str(PROJECT)},
            "trainingService": {"platform": "local"},
        }
        if self.pauses:
            assessor = {"className": "tuners.search.PauseAndGoOn", "codeDirectory": str(PROJECT)}
            experiment["assessor"] = assessor
        (self.folder / "kills.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))

    def _experiment(self) -> Path | None:
        """The folder of the experiment, once it has begun so far that it can go on."""
        for database in self.runs.glob("[!_.]*/db/nni.sqlite"):
            try:
                return read_saved(database.parent.parent).folder
            except UsageError:
                continue
        return None

    def _session(self) -> bool:
        """Start the search or go on with it, kill it until it ends. False once it has all that was asked
        for."""
        experiment = self._experiment()
        if experiment and len(self.done) < self.kills and self.rng.random() < PLAIN:
            self._plain(experiment)
            code, said = 1, ""
        else:
            code, said = self._watched(experiment)
        left = wait_until_gone(self.home, GONE)
        self.orphaned += len(left)
        self._end_all()
        if code == 2 and NOTHING_LEFT not in said:
            raise RuntimeError(f"{self.folder}: {said}")
        return code not in (0, 2)

    def _watched(self, experiment: Path | None) -> tuple[int, str]:
        """(exit code, messages) of `experiments run` or `resume`."""
        words = ["resume", str(experiment)] if experiment else ["run", str(self.folder / "kills.yaml")]
        command = [sys.executable, "-m", "experiments", *words, "--port", str(any_port())]
        log, end = self.folder / "log", time.monotonic() + STUCK
        with log.open("w") as file:
            watcher = subprocess.Popen(command, cwd=PROJECT, env=self.environ, stdout=file, stderr=file)
        while watcher.poll() is None and time.monotonic() < end:
            self._wait(lambda: watcher.poll() is not None)
            if watcher.poll() is None and len(self.done) < self.kills:
                self._kill()
        text = log.read_text()
        if watcher.poll() is None:
            raise RuntimeError(f"{self.folder}: stuck after {self.done[-1:]}: {text}")
        return watcher.returncode, text

    def _plain(self, experiment: Path) -> None:
        """Plain `nnictl resume`, one kill, and `nnictl stop` if it is still there."""
        self._nnictl("resume", experiment.name, "--port", str(any_port()), "-e", str(experiment.parent))
        self._wait(lambda: not victims("manager", of_search(self.home), experiment))
        self._kill()
        time.sleep(3)
        if victims("manager", of_search(self.home), experiment):
            self._nnictl("stop", experiment.name)

    def _wait(self, over: Callable[[], bool]) -> None:
        """Wait until a random moment, at most until the session is over."""
        early, seconds = self.rng.random() < EARLY, self.rng.uniform(0.1, LONGEST)
        end = time.monotonic() + LATEST
        while not early and not over() and time.monotonic() < end and not self._trains():
            time.sleep(0.3)
        end = time.monotonic() + seconds
        while not over() and time.monotonic() < end:
            time.sleep(0.05)

    def _trains(self) -> bool:
        experiment = self._experiment()
        return experiment is not None and any(status["epochs"] for status in at_work(experiment).values())

    def _nnictl(self, *words: str) -> None:
        command = [sys.executable, str(NNICTL), *words]
        subprocess.run(command, cwd=PROJECT, env=self.environ, capture_output=True, timeout=120)

    def _kill(self) -> None:
        experiment, processes = self._experiment(), of_search(self.home)
        kinds = [kind for kind in KINDS if victims(kind, processes, experiment)]
        if not kinds:
            return
        if experiment:
            self.seen.look(experiment)
        kind = self.rng.choice(kinds)
        if found := victims(kind, of_search(self.home), experiment):
            self.done.append(kill(kind, found, self.rng))

    def _end_all(self) -> None:
        for process in of_search(self.home):
            process.kill()
        wait_until_gone(self.home, 10)
