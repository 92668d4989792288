"""The processes of a search, found by their HOME (each search has its own here), and killed by kind."""

import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from common.process import lives
from trial.run_folder.record import RunFolder

KINDS = ("trial", "server", "dispatcher", "manager", "all")


def of_search(home: Path) -> list[psutil.Process]:
    """All processes of the search with this HOME."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if lives(process) and process.environ().get("HOME") == str(home):
                found.append(process)
    return found


def victims(kind: str, processes: Sequence[psutil.Process], experiment: Path | None) -> list[psutil.Process]:
    """Those of the search's processes that are of this kind; of a trial its shell, the process that NNI
    started, and the one that trains. [] if there is none now."""
    if kind == "all":
        return list(processes)
    words = {process: _command(process) for process in processes}
    training = {status["process"]["pid"] for status in at_work(experiment).values()} if experiment else set()
    if kind == "trial":
        return [
            process for process, command in words.items()
            if process.pid in training or "/run.sh" in command or " -m trial " in command
        ]  # fmt: skip
    mark = {"manager": "nni_node/main.js", "dispatcher": "--exp_params", "server": "trial.warm.server"}[kind]
    return [p for p, command in words.items() if mark in command and p.pid not in training]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def at_work(experiment: Path) -> dict[str, dict[str, Any]]:
    """{trial: its status.json} of those that run."""
    statuses = {run.name: RunFolder(run).status() for run in experiment.glob("trials/*")}
    return {trial: status for trial, status in statuses.items() if status["state"] == "running"}


def kill(kind: str, found: Sequence[psutil.Process], rng: random.Random) -> str:
    """Kill one of those `found`, or all if the kind is all, by SIGKILL or, as a machine that is taken away
    does, by SIGTERM. Returns what was done."""
    number = signal.SIGTERM if kind in ("trial", "all") and rng.random() < 0.4 else signal.SIGKILL
    for process in found if kind == "all" else [rng.choice(found)]:
        with suppress(psutil.Error):
            process.send_signal(number)  # it may have ended by itself
    return f"{kind} {number.name}"


def wait_until_gone(home: Path, seconds: float) -> list[psutil.Process]:
    """Wait until no process of the search is left; those that are left after `seconds`."""
    end = time.monotonic() + seconds
    while (left := of_search(home)) and time.monotonic() < end:
        time.sleep(0.3)
    return left
