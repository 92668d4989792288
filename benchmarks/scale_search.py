"""CPU time of a search for what NNI waits for, as its study grows to 2,000 trials.

    python -m benchmarks.scale_search [--trials 2000]        (some 5 minutes of a core)

Nothing is trained: NNI's database and the trials' folders are written as NNI and trials write them, with 30
reports a trial of search_spaces/full.json. The trials before a size are drawn at random and half of them are
paused, by the code that a search uses for it. Then the process ends as if it were killed, another one opens
the study, and MEASURED trials are played by the tuner Search and the assessor PauseAndGoOn. A row has the
median, or the slowest, of their calls against the target, .1 s; opening is against Optuna alone, reading the
same journal.
"""

import argparse
import json
import logging
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from zlib import crc32

import numpy as np
import optuna
from nni.assessor import AssessResult
from optuna.storages.journal import JournalFileBackend, JournalStorage

from benchmarks.measure import HEADER, Row
from common.machine import PROJECT
from tuners.chosen import JOURNAL
from tuners.reports import PARENT
from tuners.search import PauseAndGoOn, Search
from tuners.spaces.space import Space
from tuners.study import journal_of
from tuners.trials import PAUSES

SIZES, QUICK, MEASURED, EPOCHS = (200, 500, 1000, 2000), 40, 20, 30
TARGET, FAILING, PAUSED = 0.1, 0.05, 0.5
SPACE = json.loads((PROJECT / "search_spaces" / "full.json").read_text())
TABLES = """
create table TrialJobEvent (timestamp integer, trialJobId text, event text, data text, logPath text,
    sequenceId integer, message text);
create index TrialJobEvent_trialJobId on TrialJobEvent(trialJobId);
create index TrialJobEvent_event on TrialJobEvent(event);
create table MetricData (timestamp integer, trialJobId text, parameterId text, type text, sequence integer,
    data text);
create index MetricData_trialJobId on MetricData(trialJobId);
create index MetricData_type on MetricData(type);
"""  # as NNI's manager makes them


class Experiment:
    """The folder of an experiment: NNI's database, and what the tuner reads of run folders."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "db").mkdir(parents=True)
        self._database = sqlite3.connect(folder / "db" / "nni.sqlite", isolation_level=None)
        self._database.executescript(TABLES)
        self._database.execute("pragma synchronous = off")

    def begin(self, trial: str, number: int, point: dict[str, Any]) -> None:
        run = self.folder / "trials" / trial
        run.mkdir(parents=True)
        (run / "config.json").write_text(json.dumps({"epochs": EPOCHS}))
        self.event(trial, "WAITING", json.dumps({"parameter_id": number, "parameters": point}))
        self.event(trial, "RUNNING")

    def event(self, trial: str, event: str, data: str | None = None) -> None:
        values = (_now(), trial, event, data)
        self._database.execute("insert into TrialJobEvent values (?,?,?,?,'',0,'')", values)

    def report(self, trial: str, kind: str, sequence: int, value: Any) -> None:
        values = (_now(), trial, kind, sequence, json.dumps(json.dumps(value)))
        self._database.execute("insert into MetricData values (?,?,'0',?,?,?)", values)


class Played:
    """A search, played up to any number of NNI's trials. `seconds`: {name of a call: [seconds of each]}."""

    def __init__(self, folder: Path):
        self.experiment, self.number = Experiment(folder), 0
        self.seconds: dict[str, list[float]] = {
            "suggestion": [],
            "assessment": [],
            "result": [],
            "opening": [],
        }
        self._heard: dict[str, int] = {}  # epochs of paused trials
        self._space = Space(SPACE)
        self._best = np.random.default_rng(0).random(len(self._space.parameters))
        self.open()

    def open(self) -> None:
        """A new process of NNI's dispatcher, or one after another one was killed."""
        with self._timed("opening"):
            self.search = Search(seed=0)
            self.assessor = PauseAndGoOn()
            self.search.update_search_space(SPACE)

    def kill(self) -> None:
        """Leaves the study as the end of the process would: without a word to it, and its lock free."""
        journal = journal_of(self.search.study)
        assert journal
        journal.close()

    def fill(self, trials: int) -> None:
        """Let the search have `trials` of NNI's, drawn at random."""
        search, rng = self.search, np.random.default_rng(self.number)
        chosen, search.study.sampler = search.study.sampler, optuna.samplers.RandomSampler(self.number)
        with patch.object(search, "_write"):  # only once, at the end
            while self.number < trials:
                self._trial(epochs=EPOCHS // 4 + 1 if rng.random() < PAUSED else EPOCHS, assessed=False)
        search.study.sampler = chosen
        search._write()

    def play(self, trials: int) -> None:
        """Let it choose and pause `trials` more."""
        for _ in range(trials):
            self._trial()

    def _trial(self, epochs: int = EPOCHS, assessed: bool = True) -> None:
        """A trial of NNI's, paused by the assessor, or, if it is not `assessed`, after `epochs`."""
        number, trial = self.number, f"T{self.number:05d}"
        with self._timed("suggestion"):
            point = self.search.generate_parameters(number)
        self.number += 1
        self.experiment.begin(trial, number, point)
        curve, fails = self._curve({key: value for key, value in point.items() if key != PARENT})
        # As trials do, one that goes on reports again what its parent had.
        heard = self._heard.pop(point.get(PARENT, ""), 0)
        reports: list[dict[str, float]] = []
        for epoch, value in enumerate(curve, 1):
            if fails and epoch == 3:
                self._end(trial, number, "FAILED")
                return
            reports.append({"default": value})
            self.experiment.report(trial, "PERIODICAL", epoch - 1, reports[-1])
            if epoch > heard and epoch < EPOCHS and self._is_paused(number, trial, reports, epochs, assessed):
                self._heard[trial] = epoch
                self._end(trial, number, "EARLY_STOPPED")
                return
        self.experiment.report(trial, "FINAL", 0, max(curve))
        with self._timed("result"):
            self.search.receive_trial_result(number, point, max(curve))
            self._end(trial, number, "SUCCEEDED")

    def _is_paused(self, number: int, trial: str, reports: list, epochs: int, assessed: bool) -> bool:
        if not assessed:
            if len(reports) == epochs:
                paused = self.search.trials.of(number)
                assert paused
                self.search.trials.note(paused, PAUSES, "by the benchmark")
            return len(reports) == epochs
        with self._timed("assessment"):
            return self.assessor.assess_trial(trial, reports) is AssessResult.Bad

    def _end(self, trial: str, number: int, event: str) -> None:
        self.experiment.event(trial, event)
        self.search.trial_end(number, event == "SUCCEEDED")

    def _curve(self, values: dict[str, Any]) -> tuple[list[float], bool]:
        """The scores of a recipe, the same each time, and whether its training fails."""
        positions = self._space.positions(self._space.params(values))
        rng = np.random.default_rng(crc32(positions.tobytes()))
        top = 0.7 - 0.2 * np.nanmean((np.minimum(positions, 1) - self._best) ** 2) + rng.normal(0, 0.005)
        steps = np.arange(1, EPOCHS + 1)
        scores = top * (1 - np.exp(-steps / 6)) + rng.normal(0, 0.01, EPOCHS) * (1 - steps / EPOCHS)
        return scores.tolist(), bool(rng.random() < FAILING)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name].append(time.process_time() - started)


def rows(quick: bool = False, trials: int = 0) -> Iterator[Row]:
    """Seconds of each call at each size up to `trials`; 0: the last of SIZES."""
    trials = trials or (QUICK if quick else SIZES[-1])
    logging.disable(logging.WARNING)
    before = os.environ.get("NNI_LOG_DIRECTORY")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "experiment"
        os.environ["NNI_LOG_DIRECTORY"] = str(folder / "log")
        try:
            played = Played(folder)
            for size in (*(size for size in SIZES if size < trials), trials):
                played.fill(size - MEASURED)
                played.kill()
                played.open()
                values = {"ours": played.seconds["opening"][-1:], "Optuna alone": [bare_opening(folder)]}
                yield Row(f"opening after a kill, {size:,} trials", "s", values, *values)
                before_them = {name: len(seconds) for name, seconds in played.seconds.items()}
                played.play(MEASURED)
                for name in ("suggestion", "assessment", "result"):
                    seconds = played.seconds[name][before_them[name] :]
                    both = {"": median(seconds), ", slowest": max(seconds)} if seconds else {}
                    for what, value in both.items():
                        values = {"ours": [value], "target": [TARGET]}
                        yield Row(f"{name}{what}, {size:,} trials", "s", values, *values)
            played.kill()
        finally:
            if before is None:
                del os.environ["NNI_LOG_DIRECTORY"]
            else:
                os.environ["NNI_LOG_DIRECTORY"] = before


def bare_opening(folder: Path) -> float:
    """Seconds in which Optuna reads the journal, and no more."""
    started = time.process_time()
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    optuna.load_study(study_name=None, storage=storage).get_trials(deepcopy=False)
    return time.process_time() - started


def _now() -> int:
    return int(1000 * time.time())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=SIZES[-1])
    asked = parser.parse_args(sys.argv[1:])
    print(HEADER)
    for row in rows(trials=asked.trials):
        print(row, flush=True)
