"""Effect on macro-F1 of small initial weights of a new classifier, by paired seeds.

    python -m benchmarks.head_start DATA [key=value ...] [--pairs 8]

The rival starts with timm's own initial weights of the classifier (standard deviation 1 / sqrt(3 x classes)
for EfficientNets and MobileNets). Each pair shares seed, people, order of photos and all other initial
weights; each training runs in a process of its own on one core. Prints the loss before the first step and the
macro-F1 of the last epoch on validation people, and the mean difference with its 95 % interval.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from math import log
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.ablation import BASE
from benchmarks.paired import paired
from common.machine import cores
from common.progress import track
from dataset.face_masks.labels import FACE_MASK
from trial.commands.arguments import parse_arguments
from trial.config import TrialConfig, parse
from trial.run import Report, run
from trial.run_folder.record import RunWriter

TIMMS, OURS = WAYS = ("timm's", "small")


def recipe(data: Path, values: Sequence[str], seed: int) -> TrialConfig:
    """The ablation's base recipe with `values` (key=value) in place."""
    return parse({**parse_arguments(BASE), **parse_arguments(values), "data": str(data), "seed": seed})


def train(job: tuple[TrialConfig, str]) -> tuple[float, float]:
    """(loss of the first batches before any step, macro-F1 of the last epoch)."""
    config, way = job
    untrained = replace(config, learning_rate=1e-9, epochs=1, train_fraction=0.05)
    as_timm = mock.patch("trial.models.factory.initialise") if way == TIMMS else nullcontext()
    with tempfile.TemporaryDirectory() as folder, as_timm:
        first, last = (_last(c, Path(folder, name)) for c, name in ((untrained, "first"), (config, "run")))
    return first.train_loss, last.macro_f1


def _last(config: TrialConfig, folder: Path) -> Report:
    reports: list[Report] = []
    run(config, RunWriter(folder, config), reports.append)
    return reports[-1]


def main() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_written)
    parser.add_argument("data", type=Path)
    parser.add_argument("values", nargs="*", metavar="key=value")
    parser.add_argument("--pairs", type=int, default=8)
    given = parser.parse_args()
    pairs = max(2, given.pairs)
    jobs = [(recipe(given.data.resolve(), given.values, s), way) for s, way in product(range(pairs), WAYS)]
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        found = [result for _, result in zip(track(jobs, "trainings"), pool.map(train, jobs), strict=True)]
    losses, scores = np.array(found).reshape(pairs, len(WAYS), 2).transpose(2, 1, 0)
    for seed, (before, ours) in enumerate(scores.T):
        print(f"seed {seed}: macro-F1 {TIMMS} {before:.4f}, {OURS} {ours:.4f}")
    for way, loss in zip(WAYS, losses, strict=True):
        uniform = f"uniform probabilities: {log(FACE_MASK.n_classes):.2f}"
        print(f"first loss, {way}: {loss.min():.2f} to {loss.max():.2f} ({uniform})")
    before, ours = scores
    difference, ratio = paired(ours, before), ours.mean() / before.mean()
    print(f"macro-F1: {TIMMS} {before.mean():.4f}, {OURS} {ours.mean():.4f}, ratio {ratio:.2f}")
    interval = f"95 % interval {difference.low:+.4f} to {difference.high:+.4f}"
    print(f"difference {difference.mean:+.4f}, {interval} over {pairs} pairs")


if __name__ == "__main__":
    main()
