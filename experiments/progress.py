"""How a running experiment is doing, from NNI's database and the run folders, and how that is shown."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from analysis.nni_database import recorded_trials
from trial.record import RunFolder

QUIET = 30  # seconds between two lines when nothing ended


@dataclass(frozen=True)
class State:
    """`states` counts trials: done, stopped_early, failed, running, waiting. `best`: macro-F1 of the best
    finished trial, or of the best so far while none has finished. `work`: trials done, with the finished
    share of running ones."""

    total: int | None
    states: Counter[str] = field(default_factory=Counter)
    best: float | None = None
    work: float = 0.0

    @property
    def ended(self) -> int:
        return sum(self.states[state] for state in ("done", "stopped_early", "failed"))

    def seconds_left(self, elapsed: float) -> float | None:
        """None while too little is done to tell."""
        if self.total is None or self.work < 0.25:
            return None
        return elapsed * max(self.total - self.work, 0) / self.work

    def line(self, elapsed: float) -> str:
        states = self.states
        of = f" of {self.total}" if self.total else ""
        parts = [f"{self.ended}{of} trials ended", f"{states['running']} running"]
        parts += [f"{states[s]} {s.replace('_', ' ')}" for s in ("stopped_early", "failed") if states[s]]
        parts.append("no macro-F1 yet" if self.best is None else f"best macro-F1 {self.best:.3f}")
        left = self.seconds_left(elapsed)
        parts.append("time left unknown yet" if left is None else f"about {clock(left)} left")
        return ", ".join(parts)


def clock(seconds: float) -> str:
    """75 -> '1:15'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def look(folder: Path, total: int | None) -> State:
    """The state of the experiment in `folder`, of `total` trials (None: no end set)."""
    states: Counter[str] = Counter()
    scores: dict[str, list[float]] = {"done": [], "running": []}
    work = 0.0
    for recorded in recorded_trials(folder):
        run = RunFolder(folder / "trials" / recorded.trial)
        waits = recorded.event in ("WAITING", "RUNNING") and not (run.folder / "status.json").exists()
        status: dict[str, Any] = {"state": recorded.event.lower()} if waits else run.status()
        states[status["state"]] += 1
        if status["state"] in scores and status.get("macro_f1") is not None:
            scores[status["state"]].append(status["macro_f1"])
        work += _share(run, status) if status["state"] == "running" else status["state"] != "waiting"
    best = scores["done"] or scores["running"]
    return State(total, states, max(best, default=None), work)


def _share(run: RunFolder, status: dict[str, Any]) -> float:
    """The share of its epochs that a running trial has behind it."""
    try:
        return min(status.get("epochs", 0) / run.config().epochs, 1)
    except FileNotFoundError:
        return 0.0


class Display:
    """A bar in a terminal; elsewhere a line whenever a trial ended, and now and then."""

    def __init__(self, total: int | None, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.began = self.said = time.monotonic()
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
        line = state.line(now - self.began)
        if self.bar:
            self.bar.update(self.task, completed=state.work, description=line)
        elif state.ended != self.ended or now - self.said >= QUIET:
            self.ended, self.said = state.ended, now
            print(f"[{clock(now - self.began)}] {line}", file=self.stream, flush=True)

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()
