"""The state of a running experiment, from NNI's database and the run folders, and its display."""

import math
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from analysis.trials.chosen import FAIL, PAUSED, read_or_damage
from analysis.trials.outcomes import Outcome, outcomes
from common.errors import UsageError
from common.nni_database import profile
from common.text import fixed_text
from experiments.estimate import Forecast, Trial, is_rough, workload_of
from experiments.plan import STINTS
from trial.config import TrialConfig
from trial.metrics import title_of
from trial.run_folder.record import RunFolder
from trial.run_folder.status import INTERRUPTED

QUIET = 30  # seconds between two lines while no trial ends
ENDED = ("done", "stopped_early", INTERRUPTED, "failed")


@dataclass(frozen=True)
class State:
    """The state of an experiment. `total`: the number of trials in all (None: not limited); of a search that
    pauses trials (`in_trainings`), the number of whole trainings whose epochs it may spend. `states`: counts
    of trials that are done, paused, stopped_early, interrupted, failed, running or waiting; one that went on
    from earlier ones is counted once, for all of them. `best`: score of the best finished trial by its
    `metric`; while none has finished, of the best running one. `work`: number of ended trials, plus the
    finished fractions of running ones; in trainings, the fractions of all. `trials`: those that have begun,
    for the time left. `best_run`: folder of the best finished trial. `at_work`: number of trials that have
    not ended in NNI's eyes; one that is run again still has the run folder of its first time, until it
    begins."""

    total: int | None
    states: Counter[str] = field(default_factory=Counter)
    best: float | None = None
    work: float = 0.0
    trials: tuple[Trial, ...] = ()
    metric: str | None = None  # while no trial has begun
    in_trainings: bool = False
    best_run: Path | None = None
    at_work: int = 0

    @property
    def ended(self) -> int:
        return sum(self.states[state] for state in ENDED)

    @property
    def ahead(self) -> int | None:
        """How many trials have not begun."""
        if self.total is None:
            return None
        if self.in_trainings:
            rest = sum(1 - _fraction(trial) for trial in self.trials if not trial.ended)
            return max(round(self.total - self.work - rest), 0)
        # A waiting trial has begun for NNI, but takes its whole time yet.
        return max(self.total - sum(self.states.values()), 0) + self.states["waiting"]

    def line(self, left: float | None = None) -> str:
        """One line of text. `left`: the remaining seconds, from a Forecast."""
        states = self.states
        of = f" of {self.total:.10g}" if self.total else ""  # trainings may be 5.0
        parts = [f"{self.ended}{of} {'trial' if self.ended == 1 and not of else 'trials'} ended"]
        if self.in_trainings:
            parts = [f"{self.work:.1f}{of} trainings spent", f"{states['done']} finished"]
        parts.append(f"{states['running']} running")
        if states["waiting"] and not states["running"]:  # for a busy GPU, for instance
            parts.append(f"{states['waiting']} waiting to begin")
        others = (PAUSED, "stopped_early", INTERRUPTED, "failed")
        parts += [f"{states[s]} {s.replace('_', ' ')}" for s in others if states[s]]
        score = title_of(self.metric) if self.metric else "score"
        # A trial that ends may have less than one that ran had.
        whose = "" if self.best_run else " of what runs"
        best = f"no {score} yet" if self.best is None else f"best {score}{whose} {fixed_text(self.best)}"
        parts.append(best)
        how = "very roughly" if is_rough(self.trials) else "about"
        parts.append("time left unknown yet" if left is None else f"{how} {clock(left)} left")
        return ", ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss: 75 -> '1:15'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def look(folder: Path, total: int | None) -> State:
    """The state of the experiment in `folder` with `total` trials in all (None: not limited)."""
    states: Counter[str] = Counter()
    scores: dict[str, list[float]] = {"done": [], "running": []}
    work, metric, best_run = 0.0, None, None
    begun, at_work = [], 0
    tuner = profile(folder).get("tuner") or {}
    trainings = (tuner.get("classArgs") or {}).get("trainings")
    for one in outcomes(folder, read_or_damage(folder)[0]):
        status = one.status
        states[status["state"]] += 1
        at_work += any(part.recorded.is_open for part in (one, *one.earlier))
        metric = status.get("metric", metric)  # the same for all: it can't be searched
        if status["state"] in scores and status.get("score") is not None:
            if status["state"] == "done" and status["score"] > max(scores["done"], default=-math.inf):
                best_run = one.run.folder
            scores[status["state"]].append(status["score"])
        trial = _trial(one)
        if trial:
            begun.append(trial)
        if trainings:
            work += spent(one)
        elif status["state"] in ENDED:
            work += 1
        elif trial:
            work += _fraction(trial)
    best = scores["done"] or scores["running"]
    total, best_score = trainings or total, max(best, default=None)
    return State(total, states, best_score, work, tuple(begun), metric, bool(trainings), best_run, at_work)


def spent(one: Outcome) -> float:
    """What a recipe has taken of the `trainings` of a search, in whole ones: the fraction of its epochs, or
    of its folds if it reports these; of a failed one a stint at least, as in tuners/trials.py."""
    part, folder = 0.0, one.run.folder
    with suppress(OSError, UsageError):  # no config: it never trained
        config = _config(folder, (folder / "config.json").stat().st_mtime_ns)
        part = min(one.status.get("epochs", 0) / config.epochs, 1)
        has_ended = one.status["state"] != "running"  # else a fold may lie half trained
        if config.reports_folds and one.chosen and has_ended:
            part = one.chosen.epochs / config.folds
    has_failed = one.status["state"] == "failed" or (one.chosen is not None and one.chosen.state == FAIL)
    return max(part, 1 / STINTS) if has_failed else part


def _trial(one: Outcome) -> Trial | None:
    """The trial; None before it has written its config and status."""
    status, path = one.status, one.run.folder / "config.json"
    paused = status["state"] == PAUSED
    ended = paused or status["state"] in ENDED
    try:
        workload = workload_of(_config(one.run.folder, path.stat().st_mtime_ns))
        age = _age(status, ended)
        age += sum(_age(before.status, True) for before in one.earlier if before.status.get("ended"))
    except (OSError, UsageError, KeyError, TypeError, ValueError):  # TypeError: failed without an end
        return None
    # At least that of its epochs: a process before the last one in the same folder is not recorded.
    age = max(age, status["seconds"])
    return Trial(workload, ended, age, status["seconds"], status["epochs"], paused)


def _age(status: dict[str, Any], ended: bool) -> float:
    """Seconds from the start of a run's process until its end, or until now. `started` may be older: it is
    that of the run's first process."""
    began = datetime.strptime(status["started"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    began = max(began, status["process"]["started"])
    end = datetime.strptime(status["ended"], "%Y-%m-%dT%H:%M:%S%z").timestamp() if ended else time.time()
    return max(end - began, 0.0)


def _fraction(trial: Trial) -> float:
    return min(trial.epochs_done / trial.workload.epochs, 1)


@lru_cache(10_000)
def _config(folder: Path, changed: int) -> TrialConfig:
    """A run's config.json, last modified at `changed`. Cached: it is asked for every second."""
    return RunFolder(folder).config()


class Display:
    """A progress bar in a terminal; elsewhere a line after each trial that ends, and every QUIET seconds."""

    def __init__(self, total: float | None, forecast: Forecast | None = None, stream: TextIO | None = None):
        self.forecast = forecast or Forecast()
        self.stream = stream or sys.stderr
        self.began = self.shown = time.monotonic()
        self.ended = -1
        self.bar: Progress | None = None
        console = Console(file=self.stream)
        if console.is_terminal:
            columns = BarColumn(bar_width=24), TextColumn("{task.description}")
            self.bar = Progress(*columns, console=console)
            self.task = self.bar.add_task("starting", total=total)

    def __enter__(self) -> "Display":
        if self.bar:
            self.bar.start()
        return self

    def show(self, state: State) -> None:
        now = time.monotonic()
        elapsed = now - self.began
        line = state.line(self.forecast.seconds_left(state.trials, state.ahead, elapsed))
        if self.bar:
            self.bar.update(self.task, total=state.total, completed=state.work, description=line)
        elif state.ended != self.ended or now - self.shown >= QUIET:
            self.ended, self.shown = state.ended, now
            print(f"[{clock(elapsed)}] {line}", file=self.stream, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()
