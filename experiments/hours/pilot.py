"""A pilot: the first epochs of one recipe, by the trials' own command, to measure what an epoch costs."""

import logging
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from common.errors import UsageError
from common.machine import cores
from experiments.checks.queue import MODULE
from experiments.interrupts import Interrupts
from experiments.plan import Plan
from trial.commands.arguments import argument_text
from trial.config import TrialConfig
from trial.run_folder.record import RunFolder
from trial.run_folder.status import STATUS

logger = logging.getLogger(__name__)
EPOCHS = 2  # the first one has costs that the others do not have
PART = 0.1  # of the time that there is: after it the first epoch is enough
LOOK_SECONDS = 0.2
END_SECONDS = 5.0  # until a process that was asked to end is killed


@dataclass(frozen=True)
class Pilot:
    """`config`: of the recipe; `epoch`: seconds of its last measured epoch, with as many beside it as in the
    search; `seconds`: what the pilot took, `start` of them before and outside the epochs."""

    config: TrialConfig
    epoch: float
    seconds: float
    start: float = 0.0


def fly(plan: Plan, point: Mapping[str, Any], available: float, interrupts: Interrupts) -> Pilot:
    """Train the recipe of `point` for up to EPOCHS epochs, as many side by side as the search trains.

    `available`: the seconds that there are for everything. UsageError if no epoch ends in half of them,
    RuntimeError if the training fails.
    """
    copies = at_a_time(plan.config)
    of_all = f"{copies} at a time as in the search, " if copies > 1 else ""
    logger.info(
        f"training the default recipe for {EPOCHS} epochs, {of_all}to measure what one takes; the first "
        f"{PART * available / 60:.1f} minutes at most, unless its first epoch takes longer"
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".pilot.", dir=plan.runs) as made:
        folders = [Path(made) / str(number) for number in range(copies)]
        flying = [_begin(plan, point, folder, copies) for folder in folders]
        try:
            while interrupts.received is None and any(process.poll() is None for process in flying):
                spent, done = time.monotonic() - began, min(map(_epochs, folders))
                if done >= EPOCHS or (done and spent > PART * available):
                    break
                if spent > available / 2:
                    raise UsageError(
                        f"--hours: the first epoch of the default recipe did not end in {spent:.0f} s; "
                        "give more time, or a smaller recipe by --set"
                    )
                interrupts.sleep(LOOK_SECONDS)
        finally:
            for process in flying:
                _end(process)
        seconds = time.monotonic() - began
        if interrupts.received is not None:
            raise KeyboardInterrupt
        if not all(map(_epochs, folders)):
            raise RuntimeError(f"the pilot of the default recipe failed: {_why(folders)}")
        trained = RunFolder(folders[0]).status()["seconds"]
        last = [float(RunFolder(folder).epochs()["seconds"].iloc[-1]) for folder in folders]
        config = RunFolder(folders[0]).config()
    # With several folds in one trial, epochs.csv has a row for each; they may be trained one by one.
    return Pilot(config, sum(last) / copies * len(config.fold_numbers), seconds, max(seconds - trained, 0.0))


def at_a_time(config: Mapping[str, Any]) -> int:
    """How many copies stand for the search's trials that share cores, or a GPU: NNI shares GPUs out, and
    without it all copies land on the first one."""
    service, concurrency = config.get("trainingService") or {}, int(config["trialConcurrency"])
    if not service.get("trialGpuNumber", config.get("trialGpuNumber")):
        return concurrency
    return min(concurrency, service.get("maxTrialNumberPerGpu") or 1)


def _begin(plan: Plan, point: Mapping[str, Any], folder: Path, copies: int) -> "subprocess.Popen[bytes]":
    words = [f"{key}={argument_text(value)}" for key, value in point.items()]
    fixed = [word for word in plan.fixed if not word.startswith(("out=", "threads="))]
    threads = [word for word in plan.fixed if word.startswith("threads=")]
    if not threads and MODULE not in plan.start:  # a job has cores of its own
        threads = [f"threads={max(1, cores() // copies)}"]  # as trial/commands/train.py under NNI
    command = f"{plan.start} {shlex.join([*fixed, *words, *threads, f'out={folder}'])}"
    folder.mkdir()
    with (folder / "stderr").open("wb") as errors:
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=plan.code, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            start_new_session=True, env=os.environ,
        )  # fmt: skip


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the shell and all that it started, which may outlive it."""
    end = time.monotonic() + END_SECONDS
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < end:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(LOOK_SECONDS / 4)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _epochs(folder: Path) -> int:
    """The number of whole epochs recorded."""
    try:
        table = RunFolder(folder).epochs()
        return int(table["fold"].value_counts().min()) if "fold" in table else len(table)
    except (OSError, pd.errors.EmptyDataError, KeyError):
        return 0


def _why(folders: list[Path]) -> str:
    for folder in folders:
        status = RunFolder(folder).status()
        if status["reason"] and (folder / STATUS).is_file():
            return str(status["reason"])
        if lines := (folder / "stderr").read_text(errors="replace").strip().splitlines():
            return lines[-1]
    return "without a message"
