"""Learning-rate range test (Smith 2015, arXiv:1506.01186): where the loss falls, and where it diverges."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.lr_range.result import Suggestion, smooth, suggest, write_result
from common.errors import UsageError, all_at_once, errors_of
from common.files import folder_atomic, only_writer_of_out, refuse_taken, write_atomic
from common.progress import track
from trial import recipe
from trial.config import NO_DATA, TrialConfig, parse
from trial.data import batches
from trial.folds import Fold
from trial.run_folder.record import RunWriter

DIVERGED = 4.0  # the test ends when the running mean of the loss is this many times its minimum
DECAY = 0.8  # of that running mean, per step
MIN_STEPS = 20


@only_writer_of_out
def write_lr_range(
    values: Mapping[str, Any], out: Path, steps: int = 100, low: float = 1e-7, high: float = 1.0
) -> Suggestion:
    """Train the recipe `values` ({field: JSON value}) for `steps` steps while the learning rate rises from
    `low` to `high` by the same factor at each step. Write lr_range.csv (step, learning_rate, loss,
    smoothed_loss), lr_range.html, and a run's config.json and origin.json into the new folder `out`: all or
    nothing. UsageError if an argument is invalid.
    """
    config, _ = all_at_once(lambda: parse(values), lambda: _refuse(values, out, steps, low, high))
    config = replace(config, out=str(out))
    with folder_atomic(out) as part, RunWriter(part, config) as writer:
        table = measure(config, writer, np.geomspace(low, high, steps))
        found = suggest(table)
        write_atomic(part / "lr_range.csv", lambda path: table.to_csv(path, index=False))
        write_result(part / "lr_range.html", config, table, found, steps)
    return found


def measure(config: TrialConfig, writer: RunWriter, rates: np.ndarray) -> pd.DataFrame:
    """The table (step, learning_rate, loss, smoothed_loss) of the steps until the loss diverges."""
    losses = list(_until_diverged(_train(config, writer, rates)))
    if not losses:
        raise UsageError("the loss is not a number at the first step; precision=float32 may help")
    rows = {"step": range(1, len(losses) + 1), "learning_rate": rates[: len(losses)], "loss": losses}
    return pd.DataFrame(rows).assign(smoothed_loss=smooth(np.array(losses), max(2, len(rates) / 40)))


def _train(config: TrialConfig, writer: RunWriter, rates: np.ndarray) -> Iterator[float]:
    """The loss of each step, before the step is taken. As trial/fit.py, but the learning rate changes with
    each step, and nothing is frozen or averaged."""
    start = recipe.start(config, writer)
    number = 0 if config.fold == "all" else config.fold
    photos = Fold(number, start.task, start.table, config.folds, config.seed, config.train_fraction).train
    config = replace(config, learning_rate=float(rates[0]))
    parts = recipe.training(config, start, start.network, photos)
    parts.network.train()
    endless = chain.from_iterable(repeat(parts.train))
    numbered = enumerate(batches.on_device(endless, start.compute.device))
    for rate in track(rates, "learning rate rises", "steps"):
        losses = []
        for index, batch in islice(numbered, parts.accumulate):
            loss, _, _ = parts.forward(parts.network, batch, index)
            parts.learner.backward(loss / parts.accumulate)
            losses.append(float(loss.detach()))
        parts.learner.step(float(rate))
        yield float(np.mean(losses))


def _until_diverged(losses: Iterator[float]) -> Iterator[float]:
    """The losses until their running mean is DIVERGED times its minimum, or one is not a number."""
    lowest, mean, weight = np.inf, 0.0, 0.0
    for loss in losses:
        if not np.isfinite(loss):
            return
        yield loss
        mean, weight = DECAY * mean + (1 - DECAY) * loss, DECAY * weight + (1 - DECAY)
        lowest = min(lowest, mean / weight)
        if mean / weight > DIVERGED * lowest:
            return


def _refuse(values: Mapping[str, Any], out: Path, steps: int, low: float, high: float) -> None:
    errors = errors_of(refuse_taken, out)
    data = str(values.get("data", TrialConfig.data))
    if not Path(data).is_dir():
        errors.append(NO_DATA.format(data=data))
    if "out" in values:
        errors.append("out=: use --out here, the folder for the result")
    if steps < MIN_STEPS:
        errors.append(f"--steps {steps}: must be {MIN_STEPS} or more")
    if not 0 < low < high < np.inf:
        errors.append(f"--from {low:g} --to {high:g}: must be above 0, and --to above --from")
    if errors:
        raise UsageError(errors)
