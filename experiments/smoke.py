"""Two tiny trials of every shipped YAML through NNI, on drawn people, in a temporary copy of the project."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from analysis.trials.nni_database import recorded_trials
from common.machine import PROJECT, shipped
from dataset.drawing.synthetic import draw
from experiments.checks.ports import any_port
from experiments.plan import read_plan
from trial.record import RunFolder

TRIALS = 2
SIZE, NEXT_SIZE = (64, 64), (16, 16)  # height x width that all take; what each further size adds
TINY = ("epochs=2", "weights=none", "batch_size=16", "threads=1", "patience=0")
SECONDS = 600  # for one YAML


def smoke(yamls: Iterable[Path] = (), people: int = 30) -> bool:
    """A line a YAML on stdout; True when all trials of each finished. `yamls`: some, not all shipped ones."""
    names = [path.name for path in (yamls or shipped("experiments", "*.yaml"))]
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        copy = Path(folder) / "project"
        copy_project(copy)
        # NNI's list of experiments is kept in HOME: the person's own is left as it is.
        environ = os.environ | {"HOME": folder}
        draw(copy / "input", people)
        results = [_one(copy, copy / "experiments" / name, environ) for name in names]
    return all(results)


def copy_project(copy: Path) -> None:
    """The project's own files, without its environment, data and results."""
    apart = (".git", ".venv", ".*_cache", "__pycache__", "out", "input", "weights")
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*apart))


def _one(copy: Path, path: Path, environ: dict[str, str]) -> bool:
    began = time.monotonic()
    settings = [*TINY, *_shrink(path)]
    command = [
        sys.executable,
        "-m",
        "experiments",
        "run",
        str(path.relative_to(copy)),
        "--trials",
        str(TRIALS),
    ]
    command += ["--port", str(any_port())]  # others may be at work on this machine
    command += [word for setting in settings for word in ("--set", setting)]
    pipe = subprocess.PIPE
    late = ""
    with subprocess.Popen(
        command, cwd=copy, env=environ, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            _, said = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it ends its server itself
            try:
                _, said = process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                _, said = process.communicate()
            late = f"not done after {SECONDS} s; "
    errors = (
        [f"{late}exit {process.returncode}: {said.strip()[-1500:]}"] if late or process.returncode else []
    )
    runs = copy / "out" / "experiments"
    found = [folder for folder in runs.glob("*") if (folder / "db").is_dir() and not folder.is_symlink()]
    trials = [trial.trial for folder in found for trial in recorded_trials(folder)]
    for folder in found:
        for trial in recorded_trials(folder):
            status = RunFolder(folder / "trials" / trial.trial).status()
            if status["state"] != "done":
                errors.append(f"trial {trial.trial} {status['state']}: {status['reason']}")
    if not errors and len(trials) != TRIALS:
        errors.append(f"{len(trials)} trials ran, not {TRIALS}")
    shutil.rmtree(runs, ignore_errors=True)  # the next one finds its own only; and weights are large
    print(f"{path.name}: {'; '.join(errors) or f'ok, {time.monotonic() - began:.0f} s'}", flush=True)
    return not errors


def _shrink(path: Path) -> list[str]:
    """Make the copy's sizes tiny and its trials two at a time; what is left to set for the whole run."""
    path.write_text(
        re.sub(r"^trialConcurrency:.*", f"trialConcurrency: {TRIALS}", path.read_text(), flags=re.M)
    )
    plan, _ = read_plan(path)
    if plan is None or "image_size" not in plan.space:
        return [f"image_size={SIZE[0]}x{SIZE[1]}"]
    sizes = plan.space["image_size"]["_value"]
    plan.space["image_size"]["_value"] = [
        f"{SIZE[0] + i * NEXT_SIZE[0]}x{SIZE[1] + i * NEXT_SIZE[1]}" for i in range(len(sizes))
    ]
    (path.parent / plan.config["searchSpaceFile"]).write_text(json.dumps(plan.space))
    return []
