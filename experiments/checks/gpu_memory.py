"""How many trials fit into a GPU's memory: by what trials of the same search held, or else by a probe.

The probe trains the search's largest recipes for some steps on the GPU, in a process of its own:

    python -m experiments.checks.gpu_memory < RECIPES
"""

import gc
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import UsageError, errors_of
from common.machine import PROJECT
from common.text import bytes_text
from experiments.checks.earlier import earlier
from experiments.checks.services import gpu_indices
from experiments.plan import Plan
from trial.config import TrialConfig, parse

if TYPE_CHECKING:
    import pandas as pd

    from dataset.task import Task

logger = logging.getLogger(__name__)
CONTEXT = 2**30  # bytes allowed for CUDA and its libraries in each process; not measured
PART = 0.9  # of the free memory that is counted on: what is freed lies in pieces
ENOUGH = 10  # trials whose memory is known, that stand for all of a search
SECONDS = 600  # limit of a probe
PLAIN: dict[str, Any] = {  # a probe leaves out pretrained weights, fits of features, minutes of compiling
    "weights": "none", "init": "random", "copies": "none", "borders": "keep", "corrections": "",
    "compile": False, "workers": 0, "pixels": "host", "learning_rate": 1e-6,
}  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """`need`: the most bytes of a GPU that a trial holds; `free`: those of the GPU; `known`: how it is."""

    need: int
    free: int
    known: str

    @property
    def trials(self) -> int:
        """The number of trials that fit side by side."""
        return int(PART * self.free // (self.need + CONTEXT))

    def line(self) -> str:
        fit = f"maxTrialNumberPerGpu may be {self.trials}" if self.trials > 1 else "one fits"
        if not self.trials:
            fit = "none fits without halving its batches"
        return (
            f"GPU memory: a trial holds up to {bytes_text(self.need)} ({self.known}), "
            f"{bytes_text(self.free)} are free: {fit}"
        )

    def errors(self, asked: int) -> list[str]:
        """[why `asked` trials on a GPU do not fit], [] if they do. One is never refused."""
        if asked <= max(1, self.trials):
            return []
        return [f"trainingService.maxTrialNumberPerGpu: {asked}: they would not fit; {self.line()}"]


def memory_of(plan: Plan, recipes: Iterable[TrialConfig]) -> Memory | None:
    """The GPU memory that the trials of a plan need on this machine; None if each has no GPU or several, or
    it is not known. `recipes`: in which each value of the space appears."""
    service = plan.config.get("trainingService") or {}
    if plan.machines or service.get("trialGpuNumber", plan.config.get("trialGpuNumber")) != 1:
        return None
    indices = gpu_indices(service.get("gpuIndices")) or []
    free = free_bytes(indices)
    if free is None:
        return None
    if held := recorded(plan):
        return Memory(max(held), free, f"the most of {len(held)} earlier trials")
    asked = largest(recipes)
    if not asked:
        return None
    how = f"measured with {'1 recipe' if len(asked) == 1 else f'{len(asked)} recipes'}"
    logger.info(f"GPU memory: being {how}")
    given = [one.to_json() | PLAIN | {"data": str(plan.code / one.data)} for one in asked]
    peaks = _probe(given, indices)
    return Memory(max(peaks), free, how) if peaks else None


def recorded(plan: Plan) -> list[int]:
    """What trials of an earlier experiment with the same space and command held, the newest that has ENOUGH
    of them; [] if there is none. Those with their photos on the GPU are left out."""
    for runs in earlier(plan):
        held = []
        for run in runs:
            with suppress(UsageError, OSError):
                if (size := run.status().get("device_bytes")) and run.origin().get("pixels") != "device":
                    held.append(size)
        if len(held) >= ENOUGH:
            return held
    return []


def largest(recipes: Iterable[TrialConfig]) -> list[TrialConfig]:
    """For each network of `recipes` the recipe with the largest photos and batches that it takes."""
    known = [recipe for recipe in recipes if recipe.features.name == "none"]
    found: dict[str, TrialConfig] = {}
    for recipe in known:
        size = max((one.image_size for one in known), key=lambda size: size[0] * size[1])
        batch = max(one.batch_size for one in known)
        grown = replace(recipe, image_size=size, batch_size=batch)
        if errors_of(parse, grown.to_json() | PLAIN, False):
            grown = replace(recipe, batch_size=batch)
        before = found.get(recipe.model)
        if before is None or _load(grown) > _load(before):
            found[recipe.model] = grown
    return list(found.values())


def _load(recipe: TrialConfig) -> tuple[int, bool]:
    return recipe.batch_size * recipe.image_size[0] * recipe.image_size[1], recipe.ema > 0


def free_bytes(indices: list[int]) -> int | None:
    """The free memory of the fullest of the GPUs, [] for all, as nvidia-smi says; None if it says nothing."""
    chosen = ["-i", ",".join(map(str, indices))] if indices else []
    try:
        said = subprocess.run(
            ["nvidia-smi", *chosen, "--query-gpu=memory.free", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=20,
        ).stdout  # fmt: skip
        return min(int(line) for line in said.split("\n") if line.strip()) * 2**20
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None


def _probe(recipes: list[dict[str, Any]], indices: list[int]) -> list[int]:
    """The bytes that a training of each of the recipes held on the GPU; [] if that was not measured."""
    environ = os.environ | ({"CUDA_VISIBLE_DEVICES": str(indices[0])} if indices else {})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "experiments.checks.gpu_memory"],
            cwd=PROJECT, env=environ, input=json.dumps(recipes), capture_output=True, text=True,
            timeout=SECONDS,
        )  # fmt: skip
        return [int(peak) for peak in json.loads(done.stdout.rpartition("\n")[2])]
    except subprocess.TimeoutExpired:
        why = f"it took over {SECONDS} s"
    except ValueError:
        why = done.stderr.strip().rpartition("\n")[2]
    logger.info(f"the GPU memory of a trial was not measured: {why}")
    return []


def peak_of(config: TrialConfig, task: "Task", table: "pd.DataFrame") -> int:
    """Bytes of the GPU that some steps of `config` and its validation hold at most, on `table` without its
    pixels; 0 without a GPU. Memory that runs out is not an error: then it is what there was."""
    import torch

    from trial import recipe
    from trial.data.batches import EVALUATION_FACTOR
    from trial.fit import fit
    from trial.process.compute import decide

    number = EVALUATION_FACTOR * config.batch_size  # one batch of validation
    photos = table.iloc[np.resize(np.arange(len(table)), number)].reset_index(drop=True)
    pixels = np.broadcast_to(np.zeros((), np.uint8), (number, *config.image_size, 3))
    together = 1 if config.reports_folds else len(config.fold_numbers)
    held = []
    for _ in range(together):
        network, preprocessing = recipe.build(config, task)
        compute = decide(network, config.device, config.precision, config.threads, config.workers)
        start = recipe.Start(task, photos, network, preprocessing, compute, pixels)
        training = recipe.training(config, start, network, photos)
        held.append(training)
        with suppress(FloatingPointError, torch.OutOfMemoryError):
            next(fit(training, recipe.validation(config, start, photos)))
    return compute.device_bytes()


def _main() -> None:
    import torch

    from dataset.read import scan_train

    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU")
    peaks: list[int] = []
    tables: dict[tuple[str, str], Any] = {}
    for values in json.load(sys.stdin):
        config = parse(values, present=False)
        if (place := (config.data, config.group)) not in tables:
            tables[place] = scan_train(Path(config.data), config.group)
        task, table, _ = tables[place]
        torch.cuda.reset_peak_memory_stats()
        peaks.append(peak_of(config, task, table))
        gc.collect()
        torch.cuda.empty_cache()
    print(json.dumps(peaks))


if __name__ == "__main__":
    _main()
