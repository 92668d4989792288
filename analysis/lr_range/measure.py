"""Learning-rate range test (Smith 2015, arXiv:1506.01186): where the loss falls, and where it bursts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.lr_range.result import Suggestion, smooth, suggest, write_result
from common.errors import UsageError, all_at_once
from common.files import folder_atomic, only_writer_of_out, write_atomic
from common.progress import track
from trial import recipe
from trial.config import NO_DATA, TrialConfig, parse
from trial.data import batches
from trial.folds import Fold
from trial.record import RunWriter

BURST = 4.0  # times its least: there the test ends
INERTIA = 0.8  # of the running mean that is held against BURST
LEAST_STEPS = 20


@only_writer_of_out
def write_lr_range(
    values: Mapping[str, Any], out: Path, steps: int = 100, low: float = 1e-7, high: float = 1.0
) -> Suggestion:
    """Trains the recipe `values` ({field: JSON value}) for `steps` batches, the learning rate rising from
    `low` to `high` by the same factor each step. Writes lr_range.csv (step, learning_rate, loss,
    smoothed_loss), lr_range.html, and the config.json and origin.json of a run into the new folder `out`:
    all of it or nothing. UsageError where anything given can't be.
    """
    config, _ = all_at_once(lambda: parse(values), lambda: _refuse(values, out, steps, low, high))
    config = replace(config, out=str(out))
    with folder_atomic(out) as part:
        writer = RunWriter(part, config)
        table = measure(config, writer, np.geomspace(low, high, steps))
        found = suggest(table)
        write_atomic(part / "lr_range.csv", lambda path: table.to_csv(path, index=False))
        write_result(part / "lr_range.html", config, table, found, steps)
        writer.end("done")
    return found


def measure(config: TrialConfig, writer: RunWriter, rates: np.ndarray) -> pd.DataFrame:
    """step, learning_rate, loss and smoothed_loss of each step that was trained."""
    losses = list(_until_burst(_train(config, writer, rates)))
    if not losses:
        raise UsageError("the loss is no number at the first step; precision=float32 may help")
    rows = {"step": range(1, len(losses) + 1), "learning_rate": rates[: len(losses)], "loss": losses}
    return pd.DataFrame(rows).assign(smoothed_loss=smooth(np.array(losses), max(2, len(rates) / 40)))


def _train(config: TrialConfig, writer: RunWriter, rates: np.ndarray) -> Iterator[float]:
    """The loss of each step, before the step is taken. As trial/fit.py, but the learning rate changes with
    each step, and nothing is frozen or averaged."""
    start = recipe.start(config, writer)
    number = 0 if config.fold == "all" else config.fold
    photos = Fold(number, start.table, config.folds, config.seed, config.train_fraction).train
    config = replace(config, learning_rate=float(rates[0]))
    parts = recipe.training(config, start, start.network, photos)
    start.network.train()
    endless = chain.from_iterable(repeat(parts.train))
    numbered = enumerate(batches.on_device(endless, start.compute.device))
    for rate in track(rates, "learning rate rises", "steps"):
        losses = []
        for index, batch in islice(numbered, parts.accumulate):
            loss, _, _ = parts.forward(start.network, batch, index)
            parts.learner.backward(loss / parts.accumulate)
            losses.append(float(loss.detach()))
        parts.learner.step(float(rate))
        yield float(np.mean(losses))


def _until_burst(losses: Iterator[float]) -> Iterator[float]:
    """The losses up to where their running mean is BURST times its least, or one is no number."""
    least, mean, weight = np.inf, 0.0, 0.0
    for loss in losses:
        if not np.isfinite(loss):
            return
        yield loss
        mean, weight = INERTIA * mean + (1 - INERTIA) * loss, INERTIA * weight + (1 - INERTIA)
        least = min(least, mean / weight)
        if mean / weight > BURST * least:
            return


def _refuse(values: Mapping[str, Any], out: Path, steps: int, low: float, high: float) -> None:
    errors = []
    data = str(values.get("data", TrialConfig.data))
    if not Path(data).is_dir():
        errors.append(NO_DATA.format(data=data))
    if "out" in values:
        errors.append("out=: where the result goes is said by --out here")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        errors.append(f"{out} is there already; give a new or empty folder as --out")
    if steps < LEAST_STEPS:
        errors.append(f"--steps {steps}: must be {LEAST_STEPS} or more")
    if not 0 < low < high < np.inf:
        errors.append(f"--from {low:g} --to {high:g}: must be above 0, and rise")
    if errors:
        raise UsageError(errors)
