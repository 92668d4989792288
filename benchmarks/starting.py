"""Time that a trial takes before it trains: to its first step, and between two trials of a search.

To the first step: from starting `python -m trial` to the first call of the network in training mode, at which
the process ends, against `python -c 'import torch, timm'` to the end of those imports. Between trials:
from the end of one trial's last epoch to the beginning of the next trial's first, through NNI, one trial at a
time, by the run folders (epochs.csv is written at the end of an epoch and holds its seconds). Each trains one
epoch, and short experiments with and without the warm server take turns. The rivals are the same with
FACE_MASK_WARM=0, and a trial of one minute.

    python -m benchmarks starting            (about 4 minutes on 2 cores)
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, in_turn
from common.machine import PROJECT
from dataset.face_masks.drawing.synthetic import draw
from experiments.checks.ports import any_port
from trial.run_folder.record import RunFolder
from trial.warm.client import SWITCH

RECIPE = (
    "model=tf_efficientnet_lite0", "weights=package", "image_size=128x96", "augment=light", "epochs=1",
    "batch_size=32",
)  # fmt: skip
BARE = "import torch, timm, time; print(time.time())"
# `_run` is called before torch is imported; a hook of all modules needs no change of the loop.
TO_FIRST_STEP = """
import os, sys, time
from trial.commands import train

def run(*arguments, begin=train._run):
    import torch

    def first(module, _):
        if module.training:
            print(time.time(), flush=True)
            os._exit(0)

    torch.nn.modules.module.register_module_forward_pre_hook(first)
    begin(*arguments)

train._run = run
train.run_command(sys.argv[1:])
"""
TRIALS = 3  # of one experiment: two gaps
YAML = """
experimentName: starting
experimentWorkingDirectory: runs
searchSpace: {{learning_rate: {{_type: loguniform, _value: [0.0001, 0.01]}}}}
trialCodeDirectory: "{project}"
trialCommand: python -m trial data={data} {recipe}
trialConcurrency: 1
maxTrialNumber: {trials}
tuner: {{name: TPE}}
trainingService: {{platform: local}}
"""


def seconds(code: str, *arguments: str) -> float:
    """Seconds from the start of a Python to the time that its `code` prints last."""
    started = time.time()
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1]) - started


def to_first_step(data: Path) -> float:
    with tempfile.TemporaryDirectory() as run:
        return seconds(TO_FIRST_STEP, f"data={data}", f"out={run}/run", *RECIPE)


def gaps(data: Path, warm: bool) -> list[float]:
    """Seconds between consecutive trials of an experiment on NNI's manager."""
    with tempfile.TemporaryDirectory() as place:
        yaml = Path(place, "starting.yaml")
        yaml.write_text(YAML.format(project=PROJECT, data=data, recipe=" ".join(RECIPE), trials=TRIALS))
        # NNI keeps its list of experiments in HOME: the user's own is not touched.
        environ = {**os.environ, "HOME": place, SWITCH: str(int(warm))}
        command = [sys.executable, "-m", "experiments", "run", str(yaml), "--port", str(any_port())]
        subprocess.run(command, cwd=PROJECT, env=environ, check=True, capture_output=True)
        ends, begins = [], []
        tables = {
            path.resolve() for path in Path(place, "runs").glob("*/trials/*/epochs.csv")
        }  # _latest: twice
        for table in sorted(tables, key=_written):
            ends.append(_written(table))
            begins.append(ends[-1] - RunFolder(table.parent).epochs()["seconds"].sum())
    assert len(ends) == TRIALS
    return [begin - end for end, begin in zip(ends, begins[1:], strict=False)]


def _written(path: Path) -> float:
    return path.stat().st_mtime


def rows(quick: bool = False) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as place:
        data = draw(Path(place, "set"), people=60)
        ways = {"trial": partial(to_first_step, data), "import torch, timm": partial(seconds, BARE)}
        values = in_turn(ways, repeats=2 if quick else 7)
        yield Row("to the first training step", "s", values, "trial", "import torch, timm")
        between: dict[str, list[float]] = {"warm": [], "FACE_MASK_WARM=0": []}
        for _ in range(1 if quick else 3):
            for name in between:
                between[name] += gaps(data, warm=name == "warm")
        between["a trial of a minute"] = [60.0] * len(between["warm"])
        for rival in ("FACE_MASK_WARM=0", "a trial of a minute"):
            yield Row("between two trials of a search", "s", between, "warm", rival)
